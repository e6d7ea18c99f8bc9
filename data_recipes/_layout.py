"""Finds a corpus within what was downloaded, and the audio files within a corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kwsctl.errors import SourceError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"})


def find_folder(root: Path, *entries: str, depth: int = 3) -> Path:
    """Finds the folder that holds certain files or folders.

    Args:
        root: where to look: this folder first, then those within it, the shallowest first.
        *entries: names that must be there.
        depth: how many folders deep to look.

    Returns:
        The folder.

    Raises:
        SourceError: there is none.
    """
    level = [root]
    for _ in range(depth + 1):
        for folder in level:
            if all((folder / entry).exists() for entry in entries):
                return folder
        level = sorted(
            inside for folder in level if folder.is_dir() for inside in folder.iterdir() if inside.is_dir()
        )
    raise SourceError(
        f"{root} holds no folder with {' and '.join(repr(entry) for entry in entries)}.",
        "Give the folder that the publisher's archive unpacks to as --root.",
    )


def folders(folder: Path) -> list[Path]:
    """Lists the folders within a folder by name, without hidden ones."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def audio_files(folder: Path) -> list[Path]:
    """Lists the audio files directly in a folder by name, without hidden ones.

    Args:
        folder: which may be missing; then there are none.

    Returns:
        The files.
    """
    if not folder.is_dir():
        return []
    return _audio(folder.iterdir())


def audio_files_below(folder: Path) -> list[Path]:
    """Lists the audio files in a folder and all folders within it by name, without hidden ones.

    Args:
        folder: which may be missing; then there are none.

    Returns:
        The files.
    """
    return _audio(folder.rglob("*"))


def _audio(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
