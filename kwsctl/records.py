"""What commands found out, kept in the home: a page can show it, and `kwsctl` alone says where one is.

One JSON file a run, in `runs/`, named by time and command. What is about a person is not here but in the
person's ledger, which is sealed with their passphrase and goes when they are forgotten.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kwsctl.errors import InputError
from kwsctl.storage import write_text

FORMAT = 1
FOLDER = "runs"
MOST = 200
"""So many records of a command are kept; older ones go."""


@dataclass(frozen=True)
class Record:
    """One run of a command.

    Attributes:
        command: its name, such as `evaluate`.
        time: ISO time of its end.
        facts: what it prints with `--json`, and for an evaluation its curve.
        path: of the file; None if it is not from one.
    """

    command: str
    time: str
    facts: Mapping[str, Any] = field(repr=False)
    path: Path | None = None


def keep(home: Path, command: str, facts: Any) -> Path:
    """Keeps what a command found out.

    Args:
        home: the home folder.
        command: its name.
        facts: a dataclass or mapping of what `plain` knows.

    Returns:
        The file.
    """
    now = datetime.datetime.now(datetime.UTC)
    content = {
        "kwsctl_record": FORMAT,
        "command": command,
        "time": now.isoformat(timespec="seconds"),
        "facts": plain(facts),
    }
    path = home / FOLDER / f"{now:%Y%m%dT%H%M%S%f}-{command}.json"
    write_text(path, json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
    for old in sorted(path.parent.glob(f"*-{command}.json"))[:-MOST]:
        old.unlink(missing_ok=True)
    return path


def paths(home: Path) -> tuple[Path, ...]:
    """Lists the records of a home, newest first, reading none."""
    return tuple(sorted((home / FOLDER).glob("*.json"), reverse=True))


def read(path: Path) -> Record:
    """Reads a record, or what a command printed with `--json`.

    Args:
        path: the file.

    Returns:
        The record.

    Raises:
        InputError: it is neither, or of a newer version.
    """
    remedy = "Give what `kwsctl evaluate --json` or another command printed, or a file of the home's runs."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no JSON: {error}.", remedy) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no object.", remedy)
    if "kwsctl_record" not in content:
        stamp = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        return Record(_command_of(path, content, remedy), stamp.isoformat(timespec="seconds"), content, path)
    if content["kwsctl_record"] > FORMAT:
        raise InputError(f"{path} has format {content['kwsctl_record']}.", "Upgrade kwsctl to read it.")
    try:
        return Record(content["command"], content["time"], dict(content["facts"]), path)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} lacks or garbles a field: {error}.", remedy) from None


def plain(value: Any) -> Any:
    """Turns dataclasses, paths, tuples and numpy numbers into what JSON knows; what is not finite is None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path | os.PathLike):
        return os.fspath(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy arrays and numbers
        return plain(value.tolist())
    return value


_SIGNS = {  # keys that only one command prints
    "evaluate": {"bundle_sha256", "per_speaker"},
    "federate": {"per_round", "bytes_up"},
    "train": {"best_epoch", "macs_per_clip"},
    "export": {"package", "parity"},
    "enroll": {"clips_used", "expected"},
    "adapt": {"canary_before", "rolled_back"},
    "few-shot": {"rows", "outliers", "cases"},
}


def _command_of(path: Path, content: Mapping[str, Any], remedy: str) -> str:
    for command, keys in _SIGNS.items():
        if keys <= content.keys():
            return command
    raise InputError(f"{path} is of no command that a page can show.", remedy)
