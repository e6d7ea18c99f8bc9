"""Where prepared data, the current model and users are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from kwsctl.storage import write_text


def home(explicit: Path | None = None) -> Path:
    """Finds the home folder: `--home`, else `KWSCTL_HOME`, else the platform's user data folder.

    Args:
        explicit: the value of `--home`.

    Returns:
        The folder, which may not exist yet.
    """
    if explicit is not None:
        return explicit
    from_environment = os.environ.get("KWSCTL_HOME")
    return (
        Path(from_environment) if from_environment else platformdirs.user_data_path("kwsctl", appauthor=False)
    )


def current_bundle(folder: Path) -> Path | None:
    """Finds the model that commands take without `--model`.

    Args:
        folder: the home.

    Returns:
        The bundle that was trained last; None if there is none, or it is gone.
    """
    pointer = folder / "current"
    if not pointer.is_file():
        return None
    bundle = Path(pointer.read_text(encoding="utf-8").strip())
    return bundle if bundle.is_file() else None


def set_current_bundle(folder: Path, bundle: Path) -> None:
    """Makes a bundle the one that commands take without `--model`.

    Args:
        folder: the home.
        bundle: the model file.
    """
    write_text(folder / "current", f"{bundle.resolve()}\n")
