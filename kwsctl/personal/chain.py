"""The links of a profile as files in a user's folder: reading, appending, and sealing those that lie open."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from kwsctl.errors import ProfileError
from kwsctl.personal import encryption, folder, ledger, link
from kwsctl.personal.encryption import Key
from kwsctl.personal.link import Link
from kwsctl.storage import write_bytes


def read(files: Sequence[Path], key: Key | None) -> tuple[Link, ...]:
    """Reads links from the first on.

    Args:
        files: of one user, oldest first.
        key: opens the sealed ones; those that are not sealed are read without.

    Returns:
        The links.

    Raises:
        ProfileError: one is encrypted, damaged, missing, or of another user.
    """
    found = []
    for number, path in enumerate(files, start=1):
        if int(path.stem) != number:
            raise ProfileError(
                f"Link {number} of the profile in {path.parent} is missing.",
                f"Restore it from a backup, or remove the rest: kwsctl users forget {path.parent.name}",
            )
        one = link.from_bytes(opened(path, key), str(path))
        owner = unicodedata.normalize("NFC", path.parent.name)
        if (one.user, one.number) != (owner, number):
            raise ProfileError(
                f"{path} is link {one.number} of user {one.user!r}, put in this place.",
                "Restore the right one from a backup.",
            )
        found.append(one)
    return tuple(found)


def opened(path: Path, key: Key | None) -> bytes:
    """Reads one file, sealed or not.

    Args:
        path: a link.
        key: opens it if it is sealed.

    Returns:
        Its content, not sealed.

    Raises:
        ProfileError: it is sealed, and the key is missing or another.
    """
    content = path.read_bytes()
    if not encryption.is_sealed(content):
        return content
    if key is None:
        raise folder.locked_out(path.parent.name)
    return encryption.unseal(content, key, str(path))


def write(place: Path, one: Link, key: Key | None) -> Path:
    """Writes a link in its place, atomically.

    Args:
        place: folder of the user.
        one: the link.
        key: seals it, unless None.

    Returns:
        The file.
    """
    path = place / f"{one.number:04d}.link"
    content = link.to_bytes(one)
    write_bytes(path, content if key is None else encryption.seal(content, key, folder.salt(place)))
    return path


def seal_open_files(place: Path, key: Key) -> None:
    """Seals links, ledger lines and doubtful segments that lie open, file by file.

    Args:
        place: folder of the user.
        key: seals them.
    """
    for path in (*folder.links(place), *sorted((place / "asked").glob("*.ask"))):
        content = path.read_bytes()
        if not encryption.is_sealed(content):
            write_bytes(path, encryption.seal(content, key, folder.salt(place)))
    ledger.seal_open_lines(place, key)
