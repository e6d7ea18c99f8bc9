"""Reads a Kaldi data folder: `wav.scp`, `text`, `utt2spk` and, if there, `segments`.

Commands in `wav.scp` (a line that ends in `|`) are never run: an import must not execute what a
text file says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from kwsctl.data.imports._labelling import Labelled, Options, to_clips
from kwsctl.data.manifest_row import shown
from kwsctl.errors import ManifestError
from kwsctl.types import Clip

SUMMARY = "Kaldi data folder"


def clips(path: Path, options: Options) -> list[Clip]:
    """Reads the utterances of a data folder.

    Args:
        path: the folder.
        options: labels and splits.

    Returns:
        The clips, in the order of the source.

    Raises:
        ManifestError: a file is missing or broken; the message names file and line.
    """
    if not path.is_dir():
        raise ManifestError(f"{path} is not a folder.", "Give a Kaldi data folder such as data/train.")
    return to_clips(_utterances(path), options)


def _utterances(folder: Path) -> Iterator[Labelled]:
    files = {
        recording: _audio(folder, line, text)
        for recording, (line, text) in _table(folder / "wav.scp").items()
    }
    texts = _table(folder / "text")
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    segments = _table(folder / "segments") if (folder / "segments").exists() else None
    for utterance in segments if segments is not None else files:
        if utterance not in texts:
            raise ManifestError(
                f"{folder / 'text'}: no line for the utterance {shown(utterance)}.",
                "Run Kaldi's fix_data_dir.sh on the folder.",
            )
        recording, start_s, duration_s = utterance, 0.0, None
        if segments is not None:
            recording, start_s, duration_s = _span(folder, *segments[utterance])
        if recording not in files:
            raise ManifestError(
                f"{folder / 'segments'}: the recording {shown(recording)} is not in wav.scp.",
                "Run Kaldi's fix_data_dir.sh on the folder.",
            )
        speaker = speakers[utterance][1] if utterance in speakers else None
        yield Labelled(files[recording], texts[utterance][1], speaker, start_s, duration_s)


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """Reads `<key> <value>` lines: the line number and value of each key."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"There is no {path}.", "A Kaldi data folder has wav.scp and text.") from None
    except OSError as error:
        raise ManifestError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8, at byte {error.start}.", "Save it as UTF-8.") from None
    rows: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        parts = line.split(maxsplit=1)
        if not parts:
            continue
        key, value = parts[0], parts[1] if len(parts) == 2 else ""
        if key in rows:
            raise ManifestError(
                f"{path}:{number}: {shown(key)} is already in line {rows[key][0]}.", "Remove one of them."
            )
        rows[key] = (number, value.strip())
    if not rows:
        raise ManifestError(f"{path} is empty.", "Check that the data folder was prepared to the end.")
    return rows


def _audio(folder: Path, line: int, text: str) -> Path:
    where = f"{folder / 'wav.scp'}:{line}"
    if text.endswith("|"):
        raise ManifestError(
            f"{where}: {shown(text)} is a command, which is never run.",
            "Write its output to an audio file and name that file.",
        )
    if not text or text == "-" or "\0" in text:
        raise ManifestError(f"{where}: {shown(text)} names no audio file.", "Name a WAV or FLAC file.")
    if re.search(r"\.ark:\d+$|\[[\d:,]*\]$", text):
        raise ManifestError(
            f"{where}: {shown(text)} is a place within an archive.", "Extract it to an audio file first."
        )
    path = Path(text)
    beside = folder / path
    return path.absolute() if path.is_absolute() or (path.exists() and not beside.exists()) else beside


def _span(folder: Path, line: int, text: str) -> tuple[str, float, float | None]:
    where = f"{folder / 'segments'}:{line}"
    parts = text.split()
    if len(parts) != 3:
        raise ManifestError(f"{where}: {shown(text)}.", "A line is: utterance recording start end.")
    try:
        start_s, end_s = float(parts[1]), float(parts[2])
    except ValueError:
        start_s, end_s = math.nan, math.nan
    to_the_end = end_s == -1
    if not (0 <= start_s < math.inf) or not (to_the_end or start_s < end_s < math.inf):
        raise ManifestError(
            f"{where}: a segment from {shown(parts[1])} to {shown(parts[2])} s.",
            "0 <= start < end, in seconds.",
        )
    return parts[0], start_s, None if to_the_end else end_s - start_s
