"""Turns one row of a manifest into a clip, or says what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from kwsctl.errors import ManifestError
from kwsctl.registry import did_you_mean
from kwsctl.types import RESERVED_LABELS, SPLITS, Clip

_SPLIT_WORDS = {
    "training": "train", "valid": "val", "validation": "val", "dev": "val", "development": "val",
    "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_SHOWN_CHARACTERS = 80


def clip_of(values: Mapping[str, str], folder: Path, where: str) -> Clip:
    """Checks the values of a row.

    Args:
        values: text by column; the span columns may be missing.
        folder: of the manifest, without symbolic links.
        where: file and line, for messages.

    Returns:
        The clip, with an absolute path.

    Raises:
        ManifestError: a value is wrong; the message names it, and the hint what to write.
    """
    label, speaker = _name(values, "label", where), _name(values, "speaker", where)
    if not label:
        raise ManifestError(
            f"{where}: an empty label.", f"Use a word, or one of {', '.join(RESERVED_LABELS)}."
        )
    if re.fullmatch(r"_.*_", label) and label not in RESERVED_LABELS:
        raise ManifestError(
            f"{where}: the label {shown(label)} is reserved but unknown.",
            f"{did_you_mean(label, RESERVED_LABELS)}Reserved are {', '.join(RESERVED_LABELS)}.",
        )
    start_s = _seconds(values, "start_s", where)
    duration_s = _seconds(values, "duration_s", where)
    if duration_s == 0:
        raise ManifestError(f"{where}: duration_s is 0.", "Leave it empty for the rest of the file.")
    return Clip(
        path=_resolved(folder, _relative(values["path"], where)),
        label=label,
        speaker=speaker or None,
        split=_split(values["split"].strip(), where),
        start_s=start_s or 0.0,
        duration_s=duration_s,
    )


def _relative(text: str, where: str) -> str:
    if not text.strip():
        raise ManifestError(f"{where}: an empty path.", "Name an audio file, relative to the manifest.")
    if _ABSOLUTE.match(text):
        raise ManifestError(
            f"{where}: the path {shown(text)} is not relative.", "Write it relative to the manifest's folder."
        )
    if _CONTROL.search(text):
        raise ManifestError(f"{where}: the path {shown(text)} holds a control character.", "Rename the file.")
    return text


def _resolved(folder: Path, relative: str) -> Path:
    """Joins the two, so that a file has one name from wherever it is listed; `folder` has no links."""
    while relative.startswith("../"):
        folder, relative = folder.parent, relative[3:]
    return folder / relative


def _name(values: Mapping[str, str], column: str, where: str) -> str:
    text = values[column].strip()
    if _CONTROL.search(text):
        raise ManifestError(
            f"{where}: the {column} {shown(text)} holds a control character.", "Write it on one line."
        )
    return text


def _split(text: str, where: str) -> str:
    if text not in SPLITS:
        meant = _SPLIT_WORDS.get(text.lower(), text.lower())
        suggestion = f"Did you mean {meant!r}? " if meant in SPLITS else ""
        raise ManifestError(
            f"{where}: the split {shown(text)} is unknown.", f"{suggestion}Use {', '.join(SPLITS)}."
        )
    return text


def _seconds(values: Mapping[str, str], column: str, where: str) -> float | None:
    text = values.get(column, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ManifestError(
            f"{where}: {column} is {shown(text)}.", "Give a number of seconds, 0 or more, such as 1.5."
        )
    return seconds


def shown(value: object) -> str:
    """Quotes a value for an error message: on one line, and shortened if it is long."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
