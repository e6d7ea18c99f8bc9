"""Where one is in the life of a wake word: models, people, last runs, and what makes sense next.

Reads names of files only and imports no torch, so that `kwsctl` alone answers at once.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kwsctl import home as home_folder
from kwsctl import records
from kwsctl.personal import folder

LAST_RUNS = 3
RESUME = ".resume.safetensors"


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        command: its name.
        day: when it ended, as `2026-01-31 14:05`.
    """

    command: str
    day: str


@dataclass(frozen=True)
class Standing:
    """Where one is.

    Attributes:
        home: the home folder.
        model: the one that was trained last; None if only the shipped ones are there.
        users: who is enrolled, with the number of enrolments and adaptations.
        runs: the newest.
        interrupted: models whose training or federation was stopped.
        next: the command that makes sense now.
        why: what it is for.
    """

    home: Path
    model: Path | None
    users: tuple[tuple[str, int], ...]
    runs: tuple[Run, ...]
    interrupted: tuple[str, ...]
    next: str
    why: str


def standing(home: Path) -> Standing:
    """Finds out where one is.

    Args:
        home: the home folder, which may not exist yet.

    Returns:
        What is there, and what makes sense next.
    """
    model = home_folder.current_bundle(home)
    names = folder.users(home) if home.is_dir() else ()
    users = tuple((name, len(folder.links(folder.of(home, name)))) for name in names)
    paths = records.paths(home)
    stopped = tuple(path.name.removesuffix(RESUME) for path in sorted((home / "models").glob(f"*{RESUME}")))
    done = {path.stem.partition("-")[2] for path in paths}
    command, why = _next(model, users, done, stopped)
    return Standing(
        home, model, users, tuple(_run(path) for path in paths[:LAST_RUNS]), stopped, command, why
    )


def _next(
    model: Path | None, users: Sequence[tuple[str, int]], done: set[str], stopped: Sequence[str]
) -> tuple[str, str]:
    """Chooses the first step of the life cycle that was not taken."""
    if stopped:
        return "kwsctl train, or federate, as before", f"{stopped[0]} was stopped; the same command goes on"
    if not users and model is None and not done:
        return "kwsctl demo", "see the whole life of a wake word in minutes, on synthetic voices"
    if model is not None and "evaluate" not in done:
        return "kwsctl evaluate --data MANIFEST", "measure the model that was trained last"
    if not users:
        return 'kwsctl enroll --record 5 --user ME --keyword "open sesame"', "make a keyword yours"
    user, links = users[0]
    if links < 2:
        return f"kwsctl adapt --stream RECORDINGS --user {user}", "let it learn from what it hears"
    if "export" not in done:
        return f"kwsctl export --target onnx --user {user} --out package", "take it to a device"
    return f"kwsctl report {user}", "see what was found out, as one page"


def _run(path: Path) -> Run:
    stamp, _, command = path.stem.partition("-")
    try:
        time = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%S%f").replace(tzinfo=datetime.UTC)
    except ValueError:
        return Run(path.stem, "")
    return Run(command, f"{time.astimezone():%Y-%m-%d %H:%M}")
