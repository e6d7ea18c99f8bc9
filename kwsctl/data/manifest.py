"""Reads and writes manifests: which audio is which word, by whom, in which split.

A manifest is CSV in UTF-8 with the header `path,label,speaker,split`, optionally `start_s` and
`duration_s`; other columns are ignored. Paths are relative to the folder of the manifest and may
lead out of it with `..`; an empty speaker means "not known". Audio files are not opened here, so
reading is fast; what cannot be decoded is found when the clips are prepared.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kwsctl import storage
from kwsctl.data.manifest_row import clip_of, shown
from kwsctl.errors import ManifestError
from kwsctl.types import Clip

REQUIRED_COLUMNS = ("path", "label", "speaker", "split")
SPAN_COLUMNS = ("start_s", "duration_s")


def read(path: Path) -> list[Clip]:
    """Reads a manifest and checks every row.

    Args:
        path: the CSV file.

    Returns:
        One clip per row, in order, with absolute paths.

    Raises:
        ManifestError: the file cannot be read, a row is wrong, a clip is listed twice, no row is
            there, or one speaker is in two splits; the message names file, line and value.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"Cannot read the manifest {shown(path)}: {error.strerror or error}.", "Check the path."
        ) from None
    return _parse(content, path)


def write(path: Path, clips: Iterable[Clip]) -> None:
    """Writes a manifest, with paths relative to its folder; what is written can be read back.

    Args:
        path: the CSV file; replaced in one step.
        clips: in the order of the rows.

    Raises:
        ManifestError: `read` would refuse the result, for example a speaker in two splits.
    """
    kept = list(clips)
    with_spans = any(clip.start_s or clip.duration_s is not None for clip in kept)
    folder = path.parent.resolve()
    real = functools.cache(Path.resolve)  # folders only: a linked audio file keeps its name
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REQUIRED_COLUMNS + (SPAN_COLUMNS if with_spans else ()))
    for clip in kept:
        where = Path(os.path.relpath(real(clip.path.parent) / clip.path.name, folder)).as_posix()
        span = (repr(clip.start_s), "" if clip.duration_s is None else repr(clip.duration_s))
        writer.writerow((where, clip.label, clip.speaker or "", clip.split, *(span if with_spans else ())))
    try:
        content = text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        wrong = error.object[max(0, error.start - 40) : error.end + 40]
        raise ManifestError(
            f"A file name near {shown(wrong)} is not UTF-8.", "Rename the file; manifests are UTF-8."
        ) from None
    _parse(content, path)
    storage.write_bytes(path, content)


def check_speakers(clips: Iterable[Clip], origin: str) -> None:
    """Refuses a speaker in more than one split: every held-out figure would be too good.

    Args:
        clips: those without a speaker are not looked at.
        origin: what to name in the message, such as the file.

    Raises:
        ManifestError: names the speakers and their splits.
    """
    splits: dict[str, set[str]] = {}
    for clip in clips:
        if clip.speaker is not None:
            splits.setdefault(clip.speaker, set()).add(clip.split)
    torn = sorted(speaker for speaker, found in splits.items() if len(found) > 1)
    if torn:
        named = ", ".join(f"{shown(name)} ({' and '.join(sorted(splits[name]))})" for name in torn[:5])
        more = f" and {len(torn) - 5} more" if len(torn) > 5 else ""
        raise ManifestError(
            f"{origin}: {len(torn)} speaker(s) in more than one split: {named}{more}.",
            "Give each speaker one split, or scores on held-out clips mean nothing.",
        )


def _parse(content: bytes, path: Path) -> list[Clip]:
    rows = _rows(_decode(content, path), path)
    header_line, header = next(rows, (1, []))
    columns = _columns(header, f"{path}:{header_line}")
    folder = path.parent.resolve()
    clips: list[Clip] = []
    line_of: dict[tuple[str, float], int] = {}
    for line, row in rows:
        where = f"{path}:{line}"
        if len(row) != len(header):
            raise ManifestError(
                f"{where}: {len(row)} values for {len(header)} columns, beginning {shown(row[0])}.",
                "Quote values that hold commas.",
            )
        clip = clip_of({name: row[column] for name, column in columns.items()}, folder, where)
        key = (os.path.normpath(clip.path), clip.start_s)
        if key in line_of:
            raise ManifestError(
                f"{where}: {shown(row[columns['path']])} is already in line {line_of[key]}.",
                "Remove one of them, or give them different start_s.",
            )
        line_of[key] = line
        clips.append(clip)
    if not clips:
        raise ManifestError(f"{path}: no clips.", "A manifest needs at least one row below its header.")
    check_speakers(clips, str(path))
    return clips


def _decode(content: bytes, path: Path) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8.", "Save the file as UTF-8 text."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ManifestError(
            f"{path}:{line}: a NUL byte.", "This is not text; save the manifest as UTF-8 CSV."
        )
    return text


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Gives the rows that are not blank, with the number of the line on which each begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ManifestError(
                f"{path}:{line}: not CSV: {error}.", "Check the quotes: a quote within a value is doubled."
            ) from None
        if row is None:
            return
        if any(value.strip() for value in row):
            yield line, row
        line = reader.line_num + 1


def _columns(header: list[str], where: str) -> dict[str, int]:
    """Finds the columns that kwsctl reads."""
    names = [name.strip() for name in header]
    for name in REQUIRED_COLUMNS + SPAN_COLUMNS:
        if names.count(name) > 1:
            raise ManifestError(f"{where}: the column {name!r} is there twice.", "Remove or rename one.")
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise ManifestError(
            f"{where}: no column {missing[0]!r} in the header {shown(','.join(names))}.",
            _header_hint(missing[0], names),
        )
    return {name: names.index(name) for name in REQUIRED_COLUMNS + SPAN_COLUMNS if name in names}


def _header_hint(missing: str, names: list[str]) -> str:
    if len(names) == 1 and re.search(r"[;\t|]", names[0]):
        return "Separate the columns by commas."
    near = [name for name in names if name.lower() == missing]
    suggestion = f"Rename {shown(near[0])}. " if near else ""
    return f"{suggestion}The first line must be {','.join(REQUIRED_COLUMNS)}."
