"""Finds audio files in folders."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
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


def expanded(given: Iterable[str]) -> list[Path]:
    """Lists the audio files meant by files, folders and patterns.

    Args:
        given: as on the command line.

    Returns:
        The files, each once, in order.

    Raises:
        InputError: a name that matches nothing.
    """
    found: list[Path] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            found += audio_files(path)
        elif path.is_file():
            found.append(path)
        else:
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207  # may be absolute
            if not matches:
                raise InputError(f"There is no clip {name}.", "Give audio files, folders or patterns.")
            found += [match for match in matches if match.is_file()]
    return list(dict.fromkeys(found))
