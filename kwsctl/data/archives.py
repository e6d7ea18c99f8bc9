"""Unpacks archives that somebody else made, as if they meant harm.

Only plain files and folders leave an archive. Links and devices are refused rather than skipped; so
are names that lead out of the folder, and more bytes or files than were allowed. Everything goes to
a folder beside the target first, which is renamed when it is complete: a killed call leaves nothing
that looks finished.
"""

from __future__ import annotations

import functools
import json
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kwsctl import storage
from kwsctl.errors import SourceError
from kwsctl.progress import Progress, silent

_MARKER = ".unpacked.json"
_BLOCK_BYTES = 1 << 20
_MAX_DEPTH = 32
_REPORT_EVERY = 100
_RATIO_ALLOWANCE_BYTES = 64 * 2**20


_Entry = tuple[Path, Callable[[], IO[bytes]] | None]
"""Where an entry belongs, and how to open its content; None for a folder."""


@dataclass(frozen=True)
class _Limits:
    bytes: int
    files: int


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int = 2**40,
    max_files: int = 10_000_000,
    max_ratio: float = 200.0,
    progress: Progress = silent,
) -> Path:
    """Unpacks a tar (plain, gz, bz2, xz) or zip archive.

    Args:
        archive: the file.
        folder: made by this call; if an earlier call made it from the same archive it is kept.
        max_bytes: of all files together.
        max_files: files and folders in the archive.
        max_ratio: unpacked bytes per byte of the archive, beyond the first 64 MiB.
        progress: called with the files unpacked, now and then.

    Returns:
        `folder`.

    Raises:
        SourceError: the archive is damaged or holds anything but plain files and folders within
            the limits, or `folder` exists and was not made by unpacking.
    """
    try:
        size = archive.stat().st_size
    except OSError as error:
        raise SourceError(f"Cannot read {archive}: {error.strerror}.", "Download it again.") from None
    identity: dict[str, str | int] = {"archive": archive.name, "bytes": size}
    if _is_done(folder, identity):
        return folder
    if folder.exists() and not (folder / _MARKER).is_file():
        raise SourceError(
            f"{folder} exists and was not unpacked by kwsctl.", "Remove it, or choose another --out."
        )
    staging = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    limits = _Limits(min(max_bytes, int(size * max_ratio) + _RATIO_ALLOWANCE_BYTES), max_files)
    try:
        _extract(archive, staging, limits, progress)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    storage.write_text(staging / _MARKER, json.dumps(identity))
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)
    return folder


def _is_done(folder: Path, identity: dict[str, str | int]) -> bool:
    try:
        return bool(json.loads((folder / _MARKER).read_text(encoding="utf-8")) == identity)
    except (OSError, ValueError):
        return False


def _extract(archive: Path, folder: Path, limits: _Limits, progress: Progress) -> None:
    with _damage_named(archive), closing(_entries(archive, folder)) as entries:
        left = limits.bytes
        for count, (target, opened) in enumerate(entries, start=1):
            if count > limits.files:
                raise SourceError(f"{archive} holds more than {limits.files} entries.", "Unpack it yourself.")
            if count % _REPORT_EVERY == 0:
                progress(count, None)
            if opened is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened() as content, target.open("xb") as file:
                while block := content.read(min(_BLOCK_BYTES, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise SourceError(
                            f"{archive} unpacks to more than {limits.bytes} bytes, at {target.name!r}.",
                            "It may be a decompression bomb; unpack it yourself if you trust it.",
                        )
                    file.write(block)


def _entries(archive: Path, folder: Path) -> Generator[_Entry, None, None]:
    if zipfile.is_zipfile(archive):
        yield from _zip_entries(archive, folder)
    elif tarfile.is_tarfile(archive):
        yield from _tar_entries(archive, folder)
    else:
        raise SourceError(
            f"{archive} is neither a tar nor a zip archive.", "Delete it and download it again."
        )


def _tar_entries(archive: Path, folder: Path) -> Iterator[_Entry]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            target = _target(member.name, folder, archive)
            if member.issym() or member.islnk():
                raise SourceError(
                    f"{archive} holds a link, {member.name!r} to {member.linkname!r}.",
                    "Links are not unpacked; unpack it yourself if you trust it and give --root.",
                )
            if not (member.isreg() or member.isdir()):
                raise SourceError(
                    f"{archive} holds a device or pipe, {member.name!r}.", "Do not use this file."
                )
            tarfile.data_filter(member, str(folder))  # the second of two independent checks
            yield target, functools.partial(_open_member, tar, member) if member.isreg() else None


def _open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    return content


def _zip_entries(archive: Path, folder: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as container:
        for entry in container.infolist():
            target = _target(entry.filename, folder, archive)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise SourceError(
                    f"{archive} holds a link or device, {entry.filename!r}.",
                    "Links are not unpacked; unpack it yourself if you trust it and give --root.",
                )
            if entry.flag_bits & 1:
                raise SourceError(f"{archive} is encrypted.", "Unpack it with its password and give --root.")
            yield target, None if entry.is_dir() else functools.partial(container.open, entry)


def _target(name: str, folder: Path, archive: Path) -> Path:
    """Says where an entry belongs, or refuses its name."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    wrong = (
        not name  # zipfile fails on it
        or name.startswith(("/", "\\"))
        or ".." in name.replace("\\", "/").split("/")
        or re.match(r"[A-Za-z]:", name)
        or "\0" in name
        or len(parts) > _MAX_DEPTH
        or _MARKER in parts[:1]
    )
    if wrong:
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        raise SourceError(f"{archive} holds the unsafe name {shown!r}.", "Do not use this file.")
    return folder.joinpath(*parts)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    """Turns what the readers raise for damaged archives into one line."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise SourceError(
            f"{archive} is damaged: {_one_line(error)}.", "Delete it and download it again."
        ) from None
    except (OSError, NotImplementedError, ValueError) as error:
        raise SourceError(
            f"{archive} cannot be unpacked: {_one_line(error)}.", "Delete it and download it again."
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
