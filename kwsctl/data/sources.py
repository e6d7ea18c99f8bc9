"""Downloads what a recipe names: resumed after a cut, checked, and in place only when it is whole.

While a file is on its way it is `<name>.part`, with a note of which version of it the server sent;
a later call asks for the rest of that version (RFC 9110, sections 13.1.5 and 14) and starts again
where the server has no ranges or another version by now. Beside a whole file lies a receipt with the
sha256 that was computed, so that an unverified file can at least be compared with somebody else's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl import storage
from kwsctl.errors import SourceError
from kwsctl.progress import Progress, silent

_BLOCK_BYTES = 1 << 20
_TEMPORARY_STATUS = (408, 425, 429, 500, 502, 503, 504)


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
    part = _Part(target.with_name(f"{target.name}.part"), source.url)
    if target.is_file():  # put there by hand, or the process died before the receipt was written
        target.replace(part.path)
    else:
        _fetch_with_retries(source, part, progress, timeout_s=timeout_s, retries=retries, backoff_s=backoff_s)
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


@dataclass
class _Part:
    """A file on its way, and the version of it that the server sent."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def state(self) -> tuple[int, dict[str, Any]]:
        """Gives how many bytes are there and of which version; none if that is not known."""
        try:
            version = dict(json.loads(self.note.read_text(encoding="utf-8")))
            if version.get("url") == self.url:
                return self.path.stat().st_size, version
        except (OSError, ValueError, TypeError):
            pass
        return 0, {}

    def begin(self, version: dict[str, Any]) -> None:
        self.path.unlink(missing_ok=True)
        storage.write_text(self.note, json.dumps(version | {"url": self.url}))
        self.path.touch()

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _receipt_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.receipt.json")


def _is_received(source: Source, target: Path) -> bool:
    """Tells whether an earlier call finished this file: then 26 GB need not be hashed again."""
    with contextlib.suppress(SourceError):
        known = receipt(target)
        same = known.url == source.url and known.bytes == target.stat().st_size
        return same and source.sha256 in (None, known.sha256)
    return False


def _fetch_with_retries(
    source: Source, part: _Part, progress: Progress, *, timeout_s: float, retries: int, backoff_s: float
) -> None:
    in_vain = 0
    while True:
        before, _ = part.state()
        try:
            _fetch(source, part, progress, timeout_s=timeout_s)
            return
        except (OSError, http.client.HTTPException) as error:
            _raise_if_final(source, part, error)
            after, _ = part.state()
            in_vain = 0 if after > before else in_vain + 1
            if in_vain > retries:
                raise SourceError(
                    f"{source.url} could not be fetched: {_reason(error)}.",
                    "Check the network and run the same command again; it goes on where it stopped.",
                ) from None
        time.sleep(backoff_s * 2 ** max(0, in_vain - 1))


def _fetch(source: Source, part: _Part, progress: Progress, *, timeout_s: float) -> None:
    """Makes one request for what is missing and appends it."""
    have, version = part.state()
    total = version.get("total")
    if have and have == total:
        return
    request = _request(source, have, version)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 (http or https only)
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            _check_range(response, part, have, total)
        else:
            have, total = 0, _length(response)
            _refuse_page(source, response, total)
            part.begin({"validator": _validator(response), "total": total})
        _check_space(part.path.parent, total, have)
        with part.path.open("ab") as file:
            progress(have, total)
            while block := response.read(_BLOCK_BYTES):
                file.write(block)
                have += len(block)
                progress(have, total)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _request(source: Source, have: int, version: dict[str, Any]) -> urllib.request.Request:
    if not source.url.startswith(("http://", "https://")):
        raise SourceError(f"{source.url} is not a web address.", "Only http and https are fetched.")
    headers = {"Accept-Encoding": "identity", "User-Agent": "kwsctl"}
    if have and (version.get("validator") or version.get("total")):
        headers["Range"] = f"bytes={have}-"
        if version.get("validator"):
            headers["If-Range"] = version["validator"]
    return urllib.request.Request(source.url, headers=headers)  # noqa: S310 (scheme checked above)


def _check_range(response: http.client.HTTPResponse, part: _Part, have: int, total: int | None) -> None:
    """Refuses a partial answer that does not begin where our file ends, or is of another version."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have or (total and found[2] not in ("*", str(total))):
        part.forget()
        raise ConnectionError("the server sent another range than it was asked for")


def _length(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _validator(response: http.client.HTTPResponse) -> str | None:
    """Names the version that the server sent; a weak ETag does not promise equal bytes."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _refuse_page(source: Source, response: http.client.HTTPResponse, total: int | None) -> None:
    if response.headers.get_content_type() == "text/html" and not source.name.endswith((".html", ".htm")):
        raise SourceError(
            f"{source.url} answered with a web page instead of a file.",
            "It may want a login; download it in a browser and give the unpacked folder as --root.",
        )
    if source.bytes is not None and total is not None and total != source.bytes:
        raise SourceError(
            f"{source.url} holds {total} bytes, not the {source.bytes} that were published.",
            "The file has been replaced upstream; do not use it before somebody has looked.",
        )


def _check_space(folder: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and total - have > free:
        raise SourceError(
            f"{total - have} bytes are still to come, but only {free} are free in {folder}.",
            "Free some space or choose another folder with --out.",
        )


def _raise_if_final(source: Source, part: _Part, error: Exception) -> None:
    """Raises where trying again cannot help."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.forget()  # ours is longer than theirs: another version
        elif error.code not in _TEMPORARY_STATUS:
            raise SourceError(
                f"{source.url} answered {error.code} {error.reason}.",
                "It may have moved; get the data yourself and give its folder as --root.",
            ) from None
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise SourceError(
            f"{source.url} shows a certificate that does not verify: {reason.verify_message}.",
            "Check the clock and the proxy of this machine.",
        ) from None
    if isinstance(reason, OSError) and reason.errno in (
        errno.ENOSPC,
        errno.EACCES,
        errno.EROFS,
        errno.EDQUOT,
    ):
        raise SourceError(
            f"{part.path} cannot be written: {reason.strerror}.", "Choose another --out."
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _check(source: Source, part: _Part) -> Receipt:
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
