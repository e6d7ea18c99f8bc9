"""Fetches a file from a web server, going on after a cut with the version it was cut in.

What has come lies in a part file, with a note of the version that the server sent beside it; the
rest of that version is asked for (RFC 9110, sections 13.1.5 and 14). Where the server has no ranges,
or another version by now, it starts from nothing.
"""

from __future__ import annotations

import errno
import http.client
import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl import storage
from kwsctl.errors import SourceError
from kwsctl.progress import Progress, silent

_BLOCK_BYTES = 1 << 20
_TEMPORARY_STATUS = (408, 425, 429, 500, 502, 503, 504)
_DISK_FAULTS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


@dataclass(frozen=True)
class Part:
    """A file on its way.

    Attributes:
        path: what has come so far.
        url: where it comes from, http or https.
    """

    path: Path
    url: str

    @property
    def note(self) -> Path:
        """The file that says which version the server sent."""
        return self.path.with_name(f"{self.path.name}.json")

    def state(self) -> tuple[int, dict[str, Any]]:
        """Gives how many bytes are there and of which version; 0 if that is not known."""
        try:
            version = dict(json.loads(self.note.read_text(encoding="utf-8")))
            if version.get("url") == self.url:
                return self.path.stat().st_size, version
        except (OSError, ValueError, TypeError):
            pass
        return 0, {}

    def begin(self, version: dict[str, Any]) -> None:
        """Starts from nothing, with the version that the server is about to send."""
        self.path.unlink(missing_ok=True)
        storage.write_text(self.note, json.dumps(version | {"url": self.url}))
        self.path.touch()

    def forget(self) -> None:
        """Deletes what has come, and the note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def fetch(
    part: Part,
    progress: Progress = silent,
    *,
    expected_bytes: int | None = None,
    timeout_s: float = 60.0,
    retries: int = 4,
    backoff_s: float = 1.0,
) -> None:
    """Fetches what is missing of a file, as often as the connection is cut.

    Args:
        part: what to fetch, and what is there.
        progress: called with the bytes done and in all.
        expected_bytes: size of the file where it is known.
        timeout_s: how long the server may be silent.
        retries: attempts in a row that may bring nothing new before giving up.
        backoff_s: wait before the first retry; doubled each time.

    Raises:
        SourceError: the server refuses or has something else, the connection stays down, or the
            disk is too small.
    """
    in_vain = 0
    while True:
        before, _ = part.state()
        try:
            _request_rest(part, progress, expected_bytes, timeout_s)
            return
        except (OSError, http.client.HTTPException) as error:
            _raise_if_final(part, error)
            after, _ = part.state()
            in_vain = 0 if after > before else in_vain + 1
            if in_vain > retries:
                raise SourceError(
                    f"{part.url} could not be fetched: {_reason(error)}.",
                    "Check the network and run the same command again; it goes on where it stopped.",
                ) from None
        time.sleep(backoff_s * 2 ** max(0, in_vain - 1))


def _request_rest(part: Part, progress: Progress, expected_bytes: int | None, timeout_s: float) -> None:
    """Makes one request for what is missing and appends it."""
    have, version = part.state()
    total = version.get("total")
    if have and have == total:
        return
    request = _request(part.url, have, version)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 (http or https only)
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            _check_range(response, part, have, total)
        else:
            have, total = 0, _length(response)
            _refuse_other(part.url, response, total, expected_bytes)
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


def _request(url: str, have: int, version: dict[str, Any]) -> urllib.request.Request:
    if not url.startswith(("http://", "https://")):
        raise SourceError(f"{url} is not a web address.", "Only http and https are fetched.")
    headers = {"Accept-Encoding": "identity", "User-Agent": "kwsctl"}
    if have and (version.get("validator") or version.get("total")):
        headers["Range"] = f"bytes={have}-"
        if version.get("validator"):
            headers["If-Range"] = version["validator"]
    return urllib.request.Request(url, headers=headers)  # noqa: S310 (scheme checked above)


def _check_range(response: http.client.HTTPResponse, part: Part, have: int, total: int | None) -> None:
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


def _refuse_other(
    url: str, response: http.client.HTTPResponse, total: int | None, expected_bytes: int | None
) -> None:
    """Refuses what is plainly not the file, before it is fetched."""
    if response.headers.get_content_type() == "text/html":
        raise SourceError(
            f"{url} answered with a web page instead of a file.",
            "It may want a login; download it in a browser and give the unpacked folder as --root.",
        )
    if expected_bytes is not None and total is not None and total != expected_bytes:
        raise SourceError(
            f"{url} holds {total} bytes, not the {expected_bytes} that were published.",
            "The file has been replaced upstream; do not use it before somebody has looked.",
        )


def _check_space(folder: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and total - have > free:
        raise SourceError(
            f"{total - have} bytes are still to come, but only {free} are free in {folder}.",
            "Free some space or choose another folder with --out.",
        )


def _raise_if_final(part: Part, error: Exception) -> None:
    """Raises where trying again cannot help."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.forget()  # ours is longer than theirs: another version
        elif error.code not in _TEMPORARY_STATUS:
            raise SourceError(
                f"{part.url} answered {error.code} {error.reason}.",
                "It may have moved; get the data yourself and give its folder as --root.",
            ) from None
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise SourceError(
            f"{part.url} shows a certificate that does not verify: {reason.verify_message}.",
            "Check the clock and the proxy of this machine.",
        ) from None
    if isinstance(reason, OSError) and reason.errno in _DISK_FAULTS:
        raise SourceError(
            f"{part.path} cannot be written: {reason.strerror}.", "Choose another --out."
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(cause).split()) or type(cause).__name__
