"""A person's profile: keywords, thresholds, voice, and the changes to the model, as a chain of small links.

Each enrolment or adaptation appends one link, a file that holds its change and the complete state after it.
So undo drops the newest file, a kill between two writes leaves the state before, and people in one household
share the base bundle, of which no profile holds a copy. Tensors are stored once: later links refer to them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kwsctl.bundle import Bundle
from kwsctl.errors import ProfileError
from kwsctl.personal import chain, folder, ledger, state
from kwsctl.personal.encryption import Key
from kwsctl.personal.folder import users
from kwsctl.personal.person import Keyword, Policy, Profile

__all__ = [
    "Keyword", "Policy", "Profile",
    "apply", "exists", "forget", "is_encrypted", "load", "save", "undo", "users",
]  # fmt: skip


def exists(home: Path, user: str) -> bool:
    """Tells whether a user has a profile.

    Args:
        home: the home folder.
        user: the name.

    Returns:
        Whether there is a link.

    Raises:
        InputError: the name cannot be one.
    """
    return bool(folder.links(folder.of(home, user)))


def is_encrypted(home: Path, user: str) -> bool:
    """Tells whether a key is needed to read a profile.

    Args:
        home: the home folder.
        user: the name.

    Returns:
        Whether a link is sealed; False without a profile.

    Raises:
        InputError: the name cannot be one.
    """
    return folder.salt(folder.of(home, user)) is not None


def load(home: Path, user: str, key: Key | None = None) -> Profile:
    """Reads a profile.

    Args:
        home: the home folder.
        user: the name.
        key: opens it if it is encrypted, otherwise it is not used.

    Returns:
        The state after the newest link.

    Raises:
        InputError: there is no such user.
        ProfileError: nothing is enrolled, encrypted without a key or with another one, or damaged.
    """
    files = folder.links(folder.existing(home, user))
    if not files:
        raise ProfileError(f"Nothing is enrolled for {user!r}.", f"Do it: kwsctl enroll CLIP… --user {user}")
    return state.profile_of(chain.read(files, key))


def save(home: Path, profile: Profile, key: Key | None = None) -> Path:
    """Appends a link with what is new in a profile; does nothing if nothing is.

    With a key, what lies open from before is sealed, too.

    Args:
        home: the home folder.
        profile: the new state.
        key: seals it, unless None.

    Returns:
        The newest link file.

    Raises:
        InputError: the user name cannot be one.
        ProfileError: the stored profile cannot be read with this key, is on another base, or has changes
            that this one lacks.
    """
    place = folder.of(home, profile.user)
    profile = dataclasses.replace(profile, user=folder.checked_name(profile.user))
    if not place.is_dir():
        state.check_continues((), profile)  # before a folder is made for who was forgotten
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    with folder.locked(place):
        files = folder.links(place)
        stored = chain.read(files, key)
        if key is None and folder.salt(place) is not None:
            raise folder.locked_out(profile.user)
        state.check_continues(stored, profile)
        if key is not None:
            chain.seal_open_files(place, key)
        new = state.next_link(stored, profile)
        if stored and not new.deltas and new.state == stored[-1].state:
            return files[-1]
        folder.clear_leftovers(place)
        return chain.write(place, new, key)


def undo(home: Path, user: str, key: Key | None = None) -> Profile | None:
    """Drops the newest link.

    Args:
        home: the home folder.
        user: the name.
        key: opens the profile if it is encrypted.

    Returns:
        The state before it; None when nothing is left.

    Raises:
        InputError: there is no such user.
        ProfileError: nothing is enrolled, or what would be left cannot be read; then nothing was dropped.
    """
    place = folder.existing(home, user)
    with folder.locked(place):
        files = folder.links(place)
        if not files:
            raise ProfileError(f"Nothing is enrolled for {user!r}.", "There is nothing to undo.")
        left = chain.read(files[:-1], key)
        if not left:  # nothing else shows whether the key is right
            chain.opened(files[-1], key)
        files[-1].unlink()
        folder.clear_leftovers(place)
        if not left and not folder.files(place):
            place.rmdir()
    if not left:
        return None
    ledger.append(home, user, "undo", {"link": len(files)}, key)
    return state.profile_of(left)


def forget(home: Path, user: str) -> tuple[Path, ...]:
    """Removes all that is kept about a user; no key is needed.

    Args:
        home: the home folder.
        user: the name.

    Returns:
        What was removed: every file, then the folders.

    Raises:
        InputError: there is no such user.
    """
    place = folder.existing(home, user)
    with folder.locked(place):
        return folder.remove(place)


def apply(profile: Profile, base: Bundle) -> Bundle:
    """Makes a person's model.

    Args:
        profile: of the person.
        base: the bundle it was made on.

    Returns:
        The bundle with all changes.

    Raises:
        ProfileError: it was made on another bundle.
    """
    if base.sha256 != profile.base_sha256:
        raise state.other_base(profile.user, profile.base, profile.base_sha256, base.sha256)
    for delta in profile.deltas:
        base = base.with_delta(delta)
    return base
