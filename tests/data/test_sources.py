from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kwsctl.data import fetching, sources
from kwsctl.data.sources import Source
from kwsctl.errors import SourceError
from tests.data.loopback import Site, serving

BODY = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(BODY).hexdigest()


def source(site: Site, sha256: str | None = SHA256, path: str = "/a.tgz", **fields: object) -> Source:
    return Source(site.url + path, sha256, "CC0-1.0", "Nobody, 2020", **fields)  # type: ignore[arg-type]


def fetch(wanted: Source, folder: Path, **options: object) -> Path:
    return sources.download(wanted, folder, backoff_s=0.0, **options)  # type: ignore[arg-type]


def test_fetches_checks_and_leaves_a_receipt(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(Site({"/a.tgz": BODY})) as site:
        path = fetch(
            source(site), tmp_path / "d", progress=lambda done, total, /, **_: seen.append((done, total))
        )
    assert path == tmp_path / "d" / "a.tgz"
    assert path.read_bytes() == BODY
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert sources.receipt(path) == sources.Receipt(f"{site.url}/a.tgz", SHA256, len(BODY), verified=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.tgz", "a.tgz.receipt.json"]


def test_a_whole_file_is_not_asked_for_again(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY})) as site:
        fetch(source(site), tmp_path)
        fetch(source(site), tmp_path)
        assert len(site.asked) == 1


def test_an_unverified_file_is_taken_and_its_sha256_recorded(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY})) as site:
        known = sources.receipt(fetch(source(site, None), tmp_path))
    assert known.sha256 == SHA256
    assert not known.verified


def test_md5_counts_as_a_published_checksum(tmp_path: Path) -> None:
    md5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    with serving(Site({"/a.tgz": BODY})) as site:
        assert sources.receipt(fetch(source(site, None, md5=md5), tmp_path)).verified
        with pytest.raises(SourceError, match=f"md5 {md5}, not the published 0000"):
            fetch(source(site, None, md5="0000"), tmp_path / "b")


def test_a_cut_connection_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, cut_after=200_000)) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY
        assert site.asked == [None, "bytes=200000-", "bytes=400000-"]


def test_a_server_without_ranges_starts_again(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, cut_after=200_000, cuts=2, ranges=False)) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY
        assert len(site.asked) == 3


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_size_must_be_the_same(etag: str | None, tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, cut_after=300_000, etag=etag)) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY
        assert site.asked == [None, "bytes=300000-"]


def test_another_call_goes_on_but_not_with_another_version(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, cut_after=200_000, cuts=1, statuses=[200, *[503] * 9])) as site:
        with pytest.raises(SourceError, match="503"):
            fetch(source(site), tmp_path, retries=2)
        site.statuses.clear()
        site.files["/a.tgz"] = new = BODY[::-1]
        site.etag = '"v2"'
        found = fetch(source(site, hashlib.sha256(new).hexdigest()), tmp_path)
        assert found.read_bytes() == new
        assert site.asked[-1] == "bytes=200000-"


def test_a_replaced_file_of_another_size_is_begun_again_without_etag(tmp_path: Path) -> None:
    with serving(
        Site({"/a.tgz": BODY}, cut_after=200_000, cuts=1, etag=None, statuses=[200, *[503] * 9])
    ) as site:
        with pytest.raises(SourceError, match="503"):
            fetch(source(site), tmp_path, retries=0)
        site.statuses.clear()
        site.files["/a.tgz"] = new = BODY + b"more"
        assert fetch(source(site, hashlib.sha256(new).hexdigest()), tmp_path).read_bytes() == new
        assert site.asked[-2:] == ["bytes=200000-", None]


def test_a_part_that_is_longer_than_the_file_is_begun_again(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY[:1000]}, etag=None)) as site:
        (tmp_path / "a.tgz.part").write_bytes(b"x" * 5000)
        note = {"url": f"{site.url}/a.tgz", "validator": None, "total": 9000}
        (tmp_path / "a.tgz.part.json").write_text(json.dumps(note))
        assert fetch(source(site, None), tmp_path).read_bytes() == BODY[:1000]


@pytest.mark.parametrize("note", ["", "[]", '{"url": "http://other"}'])
def test_a_part_without_its_note_is_begun_again(note: str, tmp_path: Path) -> None:
    (tmp_path / "a.tgz.part").write_bytes(b"x" * 500)
    (tmp_path / "a.tgz.part.json").write_text(note)
    with serving(Site({"/a.tgz": BODY})) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY
        assert site.asked == [None]


def test_a_body_of_unknown_length_is_taken_and_the_checksum_decides(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, send_length=False)) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY


def test_a_wrong_sha256_deletes_what_came(tmp_path: Path) -> None:
    told = pytest.raises(SourceError, match=f"not the published {SHA256}")
    with serving(Site({"/a.tgz": BODY[:-1] + b"!"})) as site, told:
        fetch(source(site), tmp_path)
    assert list(tmp_path.glob("*.tgz*")) == []


def test_temporary_refusals_are_tried_again(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, statuses=[503, 429, 500])) as site:
        assert fetch(source(site), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_refusal_is_not_tried_again(status: int, tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY}, statuses=[status] * 9)) as site:
        with pytest.raises(SourceError, match=f"answered {status}") as caught:
            fetch(source(site), tmp_path)
        assert len(site.asked) == 1
    assert "--root" in caught.value.hint


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving(Site()) as site:
        gone = source(site)
    with pytest.raises(SourceError, match=r"could not be fetched: .*refused") as caught:
        fetch(gone, tmp_path, retries=1)
    assert "same command again" in caught.value.hint


def test_a_login_page_is_not_taken_for_the_file(tmp_path: Path) -> None:
    told = pytest.raises(SourceError, match="answered with a web page")
    with serving(Site({"/a.tgz": b"<html>"}, headers={"Content-Type": "text/html"})) as site, told:
        fetch(source(site, None), tmp_path)


def test_a_file_of_another_size_than_published_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    told = pytest.raises(SourceError, match="holds 512000 bytes, not the 5 that were published")
    with serving(Site({"/a.tgz": BODY})) as site, told:
        fetch(source(site, bytes=5), tmp_path)


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    told = pytest.raises(SourceError, match="only 100 are free")
    with serving(Site({"/a.tgz": BODY})) as site, told:
        fetch(source(site), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "a.tgz"])
def test_only_the_web_is_fetched_from(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a web address"):
        fetch(Source(url, None, "", ""), tmp_path)


def test_a_file_put_there_by_hand_is_checked_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(BODY)
    with serving(Site()) as site:
        assert sources.receipt(fetch(source(site), tmp_path)).verified
        assert site.asked == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/x/master.zip", "master.zip"),
        ("https://example.org/x/a%2Fb.tgz?key=1", "b.tgz"),
        ("https://example.org/", "download"),
        ("https://example.org/..", "download"),
    ],
)
def test_names_are_safe(url: str, name: str) -> None:
    assert Source(url, None, "", "").name == name


KILLED = """
import os, signal, sys
from pathlib import Path
from kwsctl.data import fetching, sources

fetching._BLOCK_BYTES = 65536
def die(done, total, /, **facts):
    if done >= 300_000:
        os.kill(os.getpid(), signal.SIGKILL)
sources.download(sources.Source(sys.argv[1], sys.argv[2], "", ""), Path(sys.argv[3]), die)
"""


def test_killed_on_the_way_the_next_call_goes_on(tmp_path: Path) -> None:
    with serving(Site({"/a.tgz": BODY})) as site:
        command = [sys.executable, "-c", KILLED, f"{site.url}/a.tgz", SHA256, str(tmp_path)]
        assert subprocess.run(command, check=False).returncode == -9
        assert not (tmp_path / "a.tgz").exists()
        assert fetch(source(site), tmp_path).read_bytes() == BODY
        first = int(str(site.asked[1]).removeprefix("bytes=").removesuffix("-"))
        assert 200_000 <= first < len(BODY)


def test_a_file_from_another_address_is_fetched_again(tmp_path: Path) -> None:
    with serving(Site({"/old/a.tgz": b"old", "/new/a.tgz": BODY})) as site:
        fetch(source(site, None, "/old/a.tgz"), tmp_path)
        assert fetch(source(site, None, "/new/a.tgz"), tmp_path).read_bytes() == BODY
