"""What `kwsctl users` tells about the people on a device: facts and sizes, nothing that is biometric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl.errors import KwsctlError
from kwsctl.personal import chain, folder, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.personal.person import Keyword


@dataclass(frozen=True)
class Listed:
    """One line of the list of users.

    Attributes:
        user: the name.
        keywords: what was enrolled; empty where it cannot be read.
        links: how many enrolments and adaptations can be undone.
        bytes: of all files.
        encrypted: whether a key is needed.
        problem: why the keywords cannot be read; empty if they can.
    """

    user: str
    keywords: tuple[str, ...]
    links: int
    bytes: int
    encrypted: bool
    problem: str = ""


@dataclass(frozen=True)
class Step:
    """One link of the chain.

    Attributes:
        number: from 1, the oldest.
        saved: ISO time.
        changes: how each change was made, and from how many clips.
        bytes: of the file.
    """

    number: int
    saved: str
    changes: tuple[Mapping[str, Any], ...]
    bytes: int


@dataclass(frozen=True)
class Shown:
    """What is kept about one user.

    Attributes:
        user: the name.
        base: how the bundle was named on which the profile was made.
        base_sha256: its identity.
        created: ISO time of the first enrolment.
        encrypted: whether a key is needed.
        bytes: of all files.
        clips: how many clips were enrolled; no evaluation uses them.
        voice: whether there is a speaker template.
        keywords: what was enrolled, by name.
        links: the chain, oldest first.
        events: entries in the ledger.
        folder: where it all lies.
    """

    user: str
    base: str
    base_sha256: str
    created: str
    encrypted: bool
    bytes: int
    clips: int
    voice: bool
    keywords: Mapping[str, Keyword]
    links: tuple[Step, ...]
    events: int
    folder: Path


def listed(home: Path) -> tuple[Listed, ...]:
    """Lists all users; no key is needed, and one damaged profile does not hide the others.

    Args:
        home: the home folder.

    Returns:
        A line for each, sorted by name.
    """
    return tuple(_listed(home, user) for user in folder.users(home))


def shown(home: Path, user: str, key: Key | None = None) -> Shown:
    """Tells what is kept about a user.

    Args:
        home: the home folder.
        user: the name.
        key: opens the profile if it is encrypted.

    Returns:
        The facts.

    Raises:
        InputError: there is no such user.
        ProfileError: nothing is enrolled, encrypted without a key or with another one, or damaged.
    """
    found = profile.load(home, user, key)
    place = folder.existing(home, user)
    files = folder.links(place)
    steps = [
        Step(
            number=link.number,
            saved=link.saved,
            changes=tuple(
                {"clips": delta.n_clips, "added_labels": delta.added_labels, **delta.made_by}
                for delta in link.deltas
            ),
            bytes=path.stat().st_size,
        )
        for path, link in zip(files, chain.read(files, key), strict=True)
    ]
    return Shown(
        user=found.user,
        base=found.base,
        base_sha256=found.base_sha256,
        created=found.created,
        encrypted=profile.is_encrypted(home, user),
        bytes=_size(place),
        clips=len(found.enrolled),
        voice=found.voice is not None,
        keywords=found.keywords,
        links=tuple(steps),
        events=len(ledger.read(home, user, key)),
        folder=place,
    )


def _listed(home: Path, user: str) -> Listed:
    place = home / "users" / user  # not checked: a folder with a strange name is shown, too
    encrypted, problem = folder.salt(place) is not None, ""
    keywords: tuple[str, ...] = ()
    if not encrypted:
        try:
            keywords = tuple(profile.load(home, user).keywords)
        except KwsctlError as error:
            problem = error.message
    return Listed(user, keywords, len(folder.links(place)), _size(place), encrypted, problem)


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in folder.files(place))
