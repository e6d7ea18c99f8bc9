"""A small web server on the loopback, with the faults that real ones have."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server serves, how, and what it was asked.

    Attributes:
        files: content by path, such as `/a.tgz`.
        ranges: whether Range is honoured.
        etag: sent as it is; with `If-Range` of another value the whole file is sent.
        cut_after: bytes of each body after which the connection is cut; None for never.
        cuts: how many answers are cut.
        statuses: answered instead of the file, one for each request, first to last.
        headers: sent besides.
        asked: the Range header of each request, None where there was none.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    etag: str | None = '"v1"'
    cut_after: int | None = None
    cuts: int = 10**9
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    send_length: bool = True
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serves on a free port of the loopback; fills in `site.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.asked.append(asked)
            body = site.files.get(self.path.partition("?")[0])
            status = site.statuses.pop(0) if site.statuses else 200 if body is not None else 404
            if status != 200 or body is None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first = 0
            version = self.headers.get("If-Range")
            found = re.fullmatch(r"bytes=(\d+)-", asked or "")
            if found and site.ranges and version in (None, site.etag):
                first = int(found[1])
                if first >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if site.etag:
                self.send_header("ETag", site.etag)
            if site.send_length:
                self.send_header("Content-Length", str(len(body) - first))
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            rest = body[first:]
            if site.cut_after is not None and site.cuts > 0 and len(rest) > site.cut_after:
                site.cuts -= 1
                rest = rest[: site.cut_after]
            self.wfile.write(rest)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
