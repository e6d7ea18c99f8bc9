"""Reads a Lhotse CutSet, JSON lines or gzipped JSON lines, without needing Lhotse.

Each supervision of a cut becomes a clip; a cut without supervisions is background. Cuts whose audio
is not plainly in a file (commands, URLs, mixtures, padding, perturbed recordings) are refused: a
clip of the file would not be what the cut says.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kwsctl.data.imports._labelling import Labelled, Options, to_clips
from kwsctl.data.manifest_row import shown
from kwsctl.errors import ManifestError
from kwsctl.types import Clip

SUMMARY = "Lhotse CutSet (.jsonl, .jsonl.gz)"


def clips(path: Path, options: Options) -> list[Clip]:
    """Reads the cuts of a CutSet.

    Args:
        path: the `.jsonl` or `.jsonl.gz` file.
        options: labels and splits.

    Returns:
        The clips, in the order of the source.

    Raises:
        ManifestError: a line is broken, or its audio is not plainly in a file; names the line.
    """
    return to_clips(_labelled(path), options)


def _labelled(path: Path) -> Iterator[Labelled]:
    for number, line in _lines(path):
        where = f"{path}:{number}"
        try:
            cut = json.loads(line)
        except (ValueError, RecursionError):
            raise ManifestError(f"{where}: {shown(line.strip())} is not JSON.", "One cut per line.") from None
        try:
            yield from _cut(cut, path, where)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ManifestError(
                f"{where}: not a cut, {type(error).__name__} {shown(error)}.",
                "Export it with CutSet.to_file.",
            ) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8") if _is_gzip(path) else path.open(encoding="utf-8") as file
        ):
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8, at byte {error.start}.", "Save it as UTF-8.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ManifestError(f"{path} is damaged: {shown(error)}.", "Copy or export it again.") from None
    except OSError as error:
        raise ManifestError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from None


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _cut(cut: Mapping[str, Any], path: Path, where: str) -> Iterator[Labelled]:
    kind = cut.get("type", "MonoCut")
    if kind not in ("MonoCut", "MultiCut", "Cut"):
        raise ManifestError(
            f"{where}: a cut of type {shown(kind)}.", "Write its audio with save_audios() first."
        )
    if not isinstance(cut.get("recording"), Mapping):
        raise ManifestError(
            f"{where}: the cut has no recording.", "Keep recordings when exporting the CutSet."
        )
    recording = cut["recording"]
    if recording.get("transforms"):
        raise ManifestError(
            f"{where}: its recording is perturbed.", "Write its audio with save_audios() first."
        )
    file = _file(recording, cut, path, where)
    start_s, length_s = _seconds(cut, "start", where), _seconds(cut, "duration", where)
    supervisions = cut.get("supervisions") or []
    if not supervisions:
        yield Labelled(file, "", None, start_s, length_s)
    for said in supervisions:
        # Supervisions count from the start of the cut, and may pass its borders.
        said_s = start_s + _seconds(said, "start", where, least=-start_s - length_s)
        begin_s = max(0.0, said_s)
        end_s = min(said_s + _seconds(said, "duration", where), start_s + length_s)
        if not begin_s < end_s < math.inf:
            raise ManifestError(
                f"{where}: a supervision of no length.", "Trim the CutSet to its supervisions."
            )
        yield Labelled(
            file, _text(said, "text", where) or "", _text(said, "speaker", where), begin_s, end_s - begin_s
        )


def _file(recording: Mapping[str, Any], cut: Mapping[str, Any], path: Path, where: str) -> Path:
    """Finds the file that holds the channels of a cut."""
    channels = cut.get("channel", 0)
    wanted = set(channels) if isinstance(channels, list) else {channels}
    for source in recording["sources"]:
        if source["type"] != "file":
            raise ManifestError(
                f"{where}: audio of type {shown(source['type'])}, which is neither run nor fetched.",
                "Write its audio with save_audios() first.",
            )
        held = set(source["channels"])
        if held == wanted:
            name = Path(source["source"])
            beside = path.parent / name
            return (
                name.absolute() if name.is_absolute() or (name.exists() and not beside.exists()) else beside
            )
        if held & wanted:
            raise ManifestError(
                f"{where}: the cut takes channels {sorted(wanted)} of a file with {sorted(held)}.",
                "Clips hold all channels of a file; write its audio with save_audios() first.",
            )
    raise ManifestError(f"{where}: no file holds channel {sorted(wanted)}.", "Export the CutSet again.")


def _seconds(values: Mapping[str, Any], key: str, where: str, *, least: float = 0.0) -> float:
    value = values[key]
    try:
        seconds = math.nan if isinstance(value, bool | str) else float(value)
    except OverflowError:
        seconds = math.inf
    if not least <= seconds < math.inf:
        raise ManifestError(f"{where}: {key} is {shown(value)}.", "Give seconds.")
    return seconds


def _text(values: Mapping[str, Any], key: str, where: str) -> str | None:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise ManifestError(f"{where}: {key} is {shown(value)}.", "Give text.")
    return value
