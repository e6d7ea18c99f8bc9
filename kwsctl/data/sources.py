"""Downloads what a recipe names: resumed after a cut, checked, and in place only when it is whole.

Beside a file lies a receipt with the sha256 that was computed, so that a file that nobody has
verified can at least be compared with somebody else's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl import storage
from kwsctl.data.fetching import Part, fetch
from kwsctl.errors import SourceError
from kwsctl.progress import Progress, silent


@dataclass(frozen=True)
class Source:
    """One file that a recipe needs.

    Attributes:
        url: where it is, http or https.
        sha256: in hex, from a published and verified list; None where nobody has verified one.
        licence: of the content, in a few words.
        citation: what to cite.
        bytes: size of the file where it is known.
        md5: where upstream publishes nothing better; it shows damage, not forgery.
        file_name: what to call it; by default the last part of the URL.
    """

    url: str
    sha256: str | None
    licence: str
    citation: str
    bytes: int | None = None
    md5: str | None = None
    file_name: str = ""

    @property
    def name(self) -> str:
        """The name of the file on disk."""
        last = urllib.parse.unquote(urllib.parse.urlsplit(self.url).path).rpartition("/")[2]
        return re.sub(r"[^\w.-]", "_", self.file_name or last).lstrip(".") or "download"


@dataclass(frozen=True)
class Receipt:
    """What is known of a downloaded file.

    Attributes:
        url: where it came from.
        sha256: computed here, in hex.
        bytes: its size.
        verified: whether a published checksum was compared.
    """

    url: str
    sha256: str
    bytes: int
    verified: bool


def download(
    source: Source,
    folder: Path,
    progress: Progress = silent,
    *,
    timeout_s: float = 60.0,
    retries: int = 4,
    backoff_s: float = 1.0,
) -> Path:
    """Fetches a file, or goes on with one that was cut off, and checks it.

    Args:
        source: what to fetch.
        folder: where it will lie.
        progress: called with the bytes done and in all.
        timeout_s: how long the server may be silent.
        retries: attempts in a row that may bring nothing new before giving up.
        backoff_s: wait before the first retry; doubled each time.

    Returns:
        The whole file, with its receipt beside it (see `receipt`).

    Raises:
        SourceError: the server refuses, the connection stays down, the disk is too small, or the
            checksum differs (what was fetched is deleted then).
    """
    target = folder / source.name
    if target.is_file() and _is_received(source, target):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = Part(target.with_name(f"{target.name}.part"), source.url)
    if target.is_file() and not _receipt_path(target).exists():
        target.replace(part.path)  # put there by hand, or the process died before the receipt was written
    else:
        fetch(
            part,
            progress,
            expected_bytes=source.bytes,
            timeout_s=timeout_s,
            retries=retries,
            backoff_s=backoff_s,
        )
    checked = _check(source, part)
    with part.path.open("rb+") as file:
        os.fsync(file.fileno())
    part.path.replace(target)
    storage.write_text(_receipt_path(target), json.dumps(dataclasses.asdict(checked), indent=1))
    part.forget()
    return target


def receipt(file: Path) -> Receipt:
    """Reads what `download` noted about a file.

    Args:
        file: as `download` gave it.

    Returns:
        The note.

    Raises:
        SourceError: there is no receipt, or it is damaged.
    """
    try:
        return Receipt(**json.loads(_receipt_path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise SourceError(f"{file} has no readable receipt.", "Download it again.") from None


def _receipt_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.receipt.json")


def _is_received(source: Source, target: Path) -> bool:
    """Tells whether an earlier call finished this file: then 26 GB need not be hashed again."""
    with contextlib.suppress(SourceError):
        known = receipt(target)
        same = known.url == source.url and known.bytes == target.stat().st_size
        return same and source.sha256 in (None, known.sha256)
    return False


def _check(source: Source, part: Part) -> Receipt:
    size = part.path.stat().st_size
    with part.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        md5 = hashlib.file_digest(file, _md5).hexdigest() if source.md5 else None
    for kind, published, found in (("sha256", source.sha256, sha256), ("md5", source.md5, md5)):
        if published and published != found:
            part.forget()
            raise SourceError(
                f"{source.url} has the {kind} {found}, not the published {published}; it was deleted.",
                "Run the command again; if it happens twice the file was replaced, so do not use it.",
            )
    return Receipt(source.url, sha256, size, verified=bool(source.sha256 or source.md5))


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)
