"""Where a person's files lie, `<home>/users/<user>/`, and which names a person may have there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from kwsctl.errors import InputError, ProfileError
from kwsctl.personal import encryption
from kwsctl.registry import did_you_mean

LONGEST_NAME = 64
LONGEST_NAME_BYTES = 255  # what file systems take


def checked_name(user: str) -> str:
    """Checks that a user name can be the name of a folder on every system.

    Args:
        user: letters of any script, digits, `-`, `_` and `.`.

    Returns:
        The name in the one way (NFC) that it is written everywhere.

    Raises:
        InputError: it is empty, too long, or has other characters.
    """
    name = unicodedata.normalize("NFC", user)
    strange = sorted({character for character in name if not _may_be_in_a_name(character)})
    if strange:
        problem = f"has {', '.join(repr(character) for character in strange)}"
    elif name.strip(".") == "":
        problem = "is no name"
    elif len(name) > LONGEST_NAME or len(name.encode("utf-8")) > LONGEST_NAME_BYTES:
        problem = f"is {len(name)} characters long"
    else:
        return name
    raise InputError(
        f"The user name {user!r} {problem}.",
        f"Use at most {LONGEST_NAME} letters, digits, '-', '_' and '.'.",
    )


def users(home: Path) -> tuple[str, ...]:
    """Lists the users that have a folder, sorted.

    Args:
        home: the home folder.

    Returns:
        Their names, also of those whose enrolment was interrupted or undone.
    """
    place = home / "users"
    found = (folder.name for folder in place.iterdir() if folder.is_dir()) if place.is_dir() else ()
    return tuple(sorted(unicodedata.normalize("NFC", name) for name in found))


def of(home: Path, user: str) -> Path:
    """Gives the folder of a user, who need not exist.

    Args:
        home: the home folder.
        user: the name.

    Returns:
        The folder.

    Raises:
        InputError: the name cannot be one.
    """
    return home / "users" / checked_name(user)


def existing(home: Path, user: str) -> Path:
    """Gives the folder of a user who exists.

    Args:
        home: the home folder.
        user: the name.

    Returns:
        The folder.

    Raises:
        InputError: there is no such user; the message suggests near matches.
    """
    folder = of(home, user)
    if not folder.is_dir():
        known = users(home)
        listed = f"Known: {', '.join(known)}." if known else "Nobody is enrolled yet."
        raise InputError(f"There is no user {user!r}.", f"{did_you_mean(user, known)}{listed}")
    return folder


def links(folder: Path) -> tuple[Path, ...]:
    """Lists the link files in a user's folder, oldest first.

    Args:
        folder: of the user; need not exist.

    Returns:
        `0001.link`, `0002.link` and so on.
    """
    found = (path for path in folder.glob("*.link") if re.fullmatch(r"[0-9]{4,}", path.stem))
    return tuple(sorted(found, key=lambda path: int(path.stem)))


def files(folder: Path) -> tuple[Path, ...]:
    """Lists every file below a user's folder, leftovers of interrupted writes included."""
    found = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return tuple(sorted(found))


def clear_leftovers(folder: Path) -> None:
    """Removes what interrupted writes left behind in a user's folder, which must be locked."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def remove(folder: Path) -> tuple[Path, ...]:
    """Removes a user's folder with all that is in it.

    Args:
        folder: of the user.

    Returns:
        What was removed: every file, then the folders.
    """
    removed = []
    for path in files(folder):
        path.unlink(missing_ok=True)
        removed.append(path)
    for place, _, _ in os.walk(folder, topdown=False):
        Path(place).rmdir()
        removed.append(Path(place))
    return tuple(removed)


def salt(folder: Path) -> bytes | None:
    """Finds the salt that the sealed links of a user share; None if none is sealed.

    Args:
        folder: of the user.

    Returns:
        16 bytes.
    """
    for path in links(folder):
        with path.open("rb") as file:
            header = file.read(encryption.HEADER_BYTES)
        if encryption.is_sealed(header) and len(header) == encryption.HEADER_BYTES:
            return encryption.salt_of(header)
    return None


def locked_out(user: str) -> ProfileError:
    """Makes the error for a key that is needed and missing."""
    return ProfileError(
        f"What is kept about {user!r} is encrypted.",
        "Give --passphrase or --key-file, or set KWSCTL_PASSPHRASE.",
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing the files of a user while the block runs.

    Args:
        folder: of the user.

    Yields:
        Once no other process is writing. The lock ends with the process, however that ends.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _may_be_in_a_name(character: str) -> bool:
    # Marks too: many scripts write vowels as marks on a letter.
    return character in "-_." or unicodedata.category(character)[0] in "LM" or character.isdecimal()
