"""The ledger of a user: what was learned and rejected, when and why, as JSON lines that are only added to.

A process that is killed while it writes leaves a torn line, without its end. The next one closes it with `~`,
so that a torn line can be told from one that was tampered with.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kwsctl.errors import ProfileError
from kwsctl.personal import encryption, folder
from kwsctl.personal.encryption import Key
from kwsctl.storage import write_bytes

NAME = "ledger.jsonl"
TORN = "torn"
"""Event of a line that was cut off by a kill; its facts are how many bytes are left of it."""


@dataclass(frozen=True)
class Entry:
    """One event.

    Attributes:
        time: ISO time; empty for a torn line.
        event: what happened, in a word.
        facts: about it, as JSON-able values.
    """

    time: str
    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def append(home: Path, user: str, event: str, facts: Mapping[str, Any], key: Key | None = None) -> None:
    """Adds an event, and returns when it is on the disk.

    Args:
        home: the home folder.
        user: who must have a folder: nothing is written about someone who was forgotten.
        event: what happened, in a word.
        facts: about it, as JSON-able values; never audio.
        key: seals the line, unless None.

    Raises:
        InputError: there is no such user.
        ProfileError: what is kept about the user is encrypted, and there is no key.
    """
    extend(home, user, [(event, facts)], key)


def extend(
    home: Path, user: str, events: Sequence[tuple[str, Mapping[str, Any]]], key: Key | None = None
) -> None:
    """Adds events, and returns when all are on the disk, see `append`.

    Args:
        home: the home folder.
        user: who must have a folder.
        events: what happened, in a word, and facts about it.
        key: seals the lines, unless None.

    Raises:
        InputError: there is no such user.
        ProfileError: what is kept about the user is encrypted, and there is no key.
    """
    if not events:
        return
    place = folder.existing(home, user)
    path = place / NAME
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    lines = [
        json.dumps(
            {"time": now, "event": event, "facts": dict(facts)},
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
        ).encode("utf-8")
        for event, facts in events
    ]
    with folder.locked(place):
        salt = folder.salt(place) or _salt(path)
        if key is not None:
            lines = [_sealed(line, key, salt) for line in lines]
        elif salt is not None:
            raise folder.locked_out(place.name)
        if _is_torn(path):
            lines = [b"~", *lines]
        with path.open("ab") as file:
            file.write(b"\n".join([*lines, b""]))
            file.flush()
            os.fsync(file.fileno())


def read(home: Path, user: str, key: Key | None = None) -> tuple[Entry, ...]:
    """Reads all events, oldest first.

    Args:
        home: the home folder.
        user: the name.
        key: opens sealed lines.

    Returns:
        The events. A line that a kill cut off is in its place as an entry whose event is `TORN`.

    Raises:
        InputError: there is no such user.
        ProfileError: encrypted without a key, with another key, or damaged.
    """
    place = folder.existing(home, user)
    path = place / NAME
    content = path.read_bytes() if path.is_file() else b""
    if _is_torn(path):
        content += b"~\n"
    lines = content.split(b"\n")[:-1]
    if key is None and not all(_is_open(line) for line in lines):
        raise folder.locked_out(place.name)
    return tuple(
        _entry(line.removesuffix(b"~"), key, f"line {number} of {path}", may_be_torn=line.endswith(b"~"))
        for number, line in enumerate(lines, start=1)
    )


def seal_open_lines(place: Path, key: Key) -> None:
    """Seals the lines that lie open, in one atomic step.

    Args:
        place: folder of the user, which must be locked.
        key: seals them.
    """
    path = place / NAME
    content = path.read_bytes() if path.is_file() else b""
    if _is_torn(path):
        content += b"~\n"
    lines = content.split(b"\n")[:-1]
    if not any(_is_open(line) for line in lines):
        return
    salt = folder.salt(place) or _salt(path)
    # The `~` of a torn line stays outside: sealing does not make it whole.
    sealed = [
        _sealed(line.removesuffix(b"~"), key, salt) + b"~" * line.endswith(b"~") if _is_open(line) else line
        for line in lines
    ]
    write_bytes(path, b"\n".join([*sealed, b""]))


def _entry(line: bytes, key: Key | None, what: str, *, may_be_torn: bool) -> Entry:
    try:
        content = json.loads(line if key is None or _is_open(line) else _unsealed(line, key, what))
        return Entry(content["time"], content["event"], content["facts"])
    except (KeyError, TypeError, ValueError, ProfileError) as error:
        if may_be_torn:
            return Entry("", TORN, {"bytes": len(line)})
        if isinstance(error, ProfileError):
            raise
        remedy = "Restore the ledger from a backup, or remove that line."
        raise ProfileError(f"The ledger is damaged at {what}: {error}.", remedy) from None


def _is_open(line: bytes) -> bool:
    return line.startswith(b"{")


def _sealed(line: bytes, key: Key, salt: bytes | None) -> bytes:
    return base64.b64encode(encryption.seal(line, key, salt))


def _unsealed(line: bytes, key: Key, what: str) -> bytes:
    return encryption.unseal(base64.b64decode(line, validate=True), key, what)


def _is_torn(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _salt(path: Path) -> bytes | None:
    """Finds the salt of the first line; None if it lies open or is not there."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        line = file.readline()
    length = 4 * encryption.HEADER_BYTES // 3  # base64 writes 3 bytes as 4 characters
    return (
        None if _is_open(line) or len(line) < length else encryption.salt_of(base64.b64decode(line[:length]))
    )
