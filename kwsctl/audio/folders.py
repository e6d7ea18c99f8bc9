"""Finds audio files in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kwsctl.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64")


def audio_files(path: Path) -> Sequence[Path]:
    """Lists the audio files meant by a path.

    Args:
        path: a file, or a folder, which is searched with its subfolders.

    Returns:
        The files, sorted.

    Raises:
        InputError: there is no such file, or no audio file in the folder.
    """
    if not path.is_dir():
        return (path,)
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise InputError(f"There is no audio file in the folder {path}.", f"Known are {', '.join(SUFFIXES)}.")
    return found
