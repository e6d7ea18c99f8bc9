from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kwsctl.data import archives
from kwsctl.errors import SourceError


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def zip_of(path: Path, *members: tuple[str, bytes], kind: int = stat.S_IFREG) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o644) << 16
            container.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != archives._MARKER
    }


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpacks_tar(mode: str, tmp_path: Path) -> None:
    folder_entry = entry("./c/words", b"", type=tarfile.DIRTYPE)
    archive = tar_of(
        tmp_path / "a.tar", folder_entry, entry("./c/words/a.wav", b"abc"), entry("r", b""), mode=mode
    )
    assert tree(archives.unpack(archive, tmp_path / "out")) == {"c/words/a.wav": b"abc", "r": b""}


def test_unpacks_zip(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("c/", b""), ("c/zoom in/ä.wav", b"abc"))
    assert tree(archives.unpack(archive, tmp_path / "out")) == {"c/zoom in/ä.wav": b"abc"}


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def bomb(path: Path) -> Path:
    return tar_of(path, entry("zeros", bytes(80 * 2**20)))


def sparse_bomb(path: Path) -> Path:
    """A GNU sparse file that claims 1 TiB in a few hundred bytes."""
    info = tarfile.TarInfo("holes")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.map": "0,0",
    }
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    return path


def encrypted_zip(path: Path) -> Path:
    data = bytearray(zip_of(path, ("a.wav", b"abc")).read_bytes())
    data[6] |= 1  # the flag in the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    return path


def truncated(path: Path) -> Path:
    whole = tar_of(path, entry("a", os.urandom(50_000)), entry("b", os.urandom(50_000)))
    path.write_bytes(whole.read_bytes()[:60_000])
    return path


def flipped(path: Path) -> Path:
    whole = bytearray(zip_of(path, ("a", b"abcdefgh" * 100)).read_bytes())
    whole[40] ^= 0xFF
    path.write_bytes(whole)
    return path


ATTACKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "tar parent": (lambda p: tar_of(p, entry("../evil")), "unsafe name '../evil'"),
    "tar parent inside": (lambda p: tar_of(p, entry("a/../../evil")), "unsafe name"),
    "tar absolute": (lambda p: tar_of(p, entry("/tmp/evil")), "unsafe name"),  # noqa: S108 (never written)
    "tar backslash": (lambda p: tar_of(p, entry("..\\evil")), "unsafe name"),
    "tar drive": (lambda p: tar_of(p, entry("C:evil")), "unsafe name"),
    "tar symlink out": (
        lambda p: tar_of(p, entry("l", b"", type=tarfile.SYMTYPE, linkname="/etc"), entry("l/evil")),
        "holds a link, 'l' to '/etc'",
    ),
    "tar symlink inside": (
        lambda p: tar_of(p, entry("l", b"", type=tarfile.SYMTYPE, linkname="a")),
        "holds a link",
    ),
    "tar hard link out": (
        lambda p: tar_of(p, entry("l", b"", type=tarfile.LNKTYPE, linkname="../../etc/passwd")),
        "holds a link",
    ),
    "tar device": (lambda p: tar_of(p, entry("d", b"", type=tarfile.CHRTYPE)), "device or pipe, 'd'"),
    "tar block device": (lambda p: tar_of(p, entry("d", b"", type=tarfile.BLKTYPE)), "device or pipe"),
    "tar pipe": (lambda p: tar_of(p, entry("f", b"", type=tarfile.FIFOTYPE)), "device or pipe, 'f'"),
    "tar twice the same file": (lambda p: tar_of(p, entry("a"), entry("a")), "File exists"),
    "tar file as folder": (lambda p: tar_of(p, entry("a"), entry("a/b")), "cannot be unpacked"),
    "tar our marker": (lambda p: tar_of(p, entry(".unpacked.json", b"{}")), "unsafe name"),
    "tar too deep": (lambda p: tar_of(p, entry("a/" * 40 + "b")), "unsafe name"),
    "tar endless name": (lambda p: tar_of(p, entry("a" * 300)), "cannot be unpacked"),
    "tar bomb": (bomb, "unpacks to more than"),
    "tar sparse bomb": (sparse_bomb, "unpacks to more than"),
    "tar truncated": (truncated, "is damaged"),
    "zip parent": (lambda p: zip_of(p, ("../evil", b"x")), "unsafe name"),
    "zip absolute": (lambda p: zip_of(p, ("/evil", b"x")), "unsafe name"),
    "zip drive": (lambda p: zip_of(p, ("C:/evil", b"x")), "unsafe name"),
    "zip symlink": (lambda p: zip_of(p, ("l", b"/etc"), kind=stat.S_IFLNK), "link or device, 'l'"),
    "zip bomb": (lambda p: zip_of(p, ("zeros", bytes(80 * 2**20))), "unpacks to more than"),
    "zip encrypted": (encrypted_zip, "is encrypted"),
    "zip damaged": (flipped, "is damaged"),
    "empty file": (lambda p: raw(p, b""), "neither a tar nor a zip"),
    "web page": (lambda p: raw(p, b"<html>log in</html>"), "neither a tar nor a zip"),
    "gzip of text": (lambda p: raw(p, gzip.compress(b"hello")), "neither a tar nor a zip"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ATTACKS)
def test_attacks_are_refused_and_leave_nothing(kind: str, tmp_path: Path) -> None:
    make, told = ATTACKS[kind]
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in" / "a.bin")
    folder = tmp_path / "deep" / "out"
    with pytest.raises(SourceError) as caught:
        archives.unpack(archive, folder)
    assert told in caught.value.message
    assert str(archive) in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "deep", "in"]


def test_too_many_files_and_too_many_bytes_are_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", *(entry(f"f{i}", b"12345") for i in range(10)))
    with pytest.raises(SourceError, match="more than 9 entries"):
        archives.unpack(archive, tmp_path / "out", max_files=9)
    with pytest.raises(SourceError, match="more than 49 bytes, at 'f9'"):
        archives.unpack(archive, tmp_path / "out", max_bytes=49)
    assert len(tree(archives.unpack(archive, tmp_path / "out", max_files=10, max_bytes=50))) == 10


def test_says_how_far_it_is(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", *(entry(f"f{i}") for i in range(250)))
    seen: list[int] = []
    archives.unpack(archive, tmp_path / "out", progress=lambda done, total, /, **_: seen.append(done))
    assert seen == [100, 200]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", entry("a"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(SourceError, match="exists and was not unpacked by kwsctl"):
        archives.unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine.txt": b"mine"}


def test_unpacked_once_is_kept_and_another_archive_replaces_it(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", entry("a", b"one"))
    folder = archives.unpack(archive, tmp_path / "out")
    (folder / "a").write_bytes(b"touched")
    assert tree(archives.unpack(archive, folder)) == {"a": b"touched"}, "not unpacked again"
    tar_of(archive, entry("b", b"a longer one" * 9))
    assert list(tree(archives.unpack(archive, folder))) == ["b"]


def test_a_killed_unpacking_is_begun_again(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", entry("a"), entry("b"))
    staging = tmp_path / ".out.unpacking"  # what a kill leaves
    staging.mkdir()
    (staging / "a").write_bytes(b"half")
    assert tree(archives.unpack(archive, tmp_path / "out")) == {"a": b"x", "b": b"x"}
    assert not staging.exists()


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        archives.unpack(tmp_path / "none.tgz", tmp_path / "out")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 3000), byte=st.integers(0, 255), cut=st.integers(0, 3000), zipped=st.booleans())
@example(at=172, byte=0, cut=0, zipped=True)  # an entry without a name
def test_damaged_archives_unpack_or_are_refused(
    at: int, byte: int, cut: int, zipped: bool, tmp_path: Path
) -> None:
    out = tmp_path / f"{at}-{byte}-{cut}-{zipped}"
    if zipped:
        archive = zip_of(tmp_path / "a", ("c/a", b"abc" * 50), ("c/b", b"b"))
    else:
        archive = tar_of(tmp_path / "a", entry("c/a", b"abc" * 50), entry("c/b"), mode="w")
    raw = bytearray(archive.read_bytes())
    raw[at % len(raw)] = byte
    archive.write_bytes(raw[: max(1, len(raw) - cut % len(raw))])
    try:
        archives.unpack(archive, out)
    except SourceError as error:
        assert "\n" not in str(error)
    assert all(path.name == "a" or path.name.endswith(("-True", "-False")) for path in tmp_path.iterdir())
