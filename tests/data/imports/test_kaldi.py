from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kwsctl.data.imports import kaldi
from kwsctl.data.imports._labelling import Options
from kwsctl.errors import KwsctlError, ManifestError
from kwsctl.types import Clip

TRAIN = Options(split="train")
WHOLE = {
    "wav.scp": "r1 /far/r1.wav\nr2 near/r 2.flac\n",
    "segments": "u1 r1 0.5 1.75\nu2 r2 0 -1\n",
    "text": "u1 hey snips\nu2 stop\n",
    "utt2spk": "u1 ann\nu2 bob\n",
}


def folder(root: Path, **files: str | None) -> Path:
    for name, content in (WHOLE | {key.replace("_", "."): value for key, value in files.items()}).items():
        if content is not None:
            (root / name).write_text(content)
    return root


def test_reads_segments(tmp_path: Path) -> None:
    assert kaldi.clips(folder(tmp_path), TRAIN) == [
        Clip(Path("/far/r1.wav"), "hey snips", "ann", "train", 0.5, 1.25),
        Clip(tmp_path / "near/r 2.flac", "stop", "bob", "train", 0.0, None),
    ]


def test_without_segments_an_utterance_is_a_file(tmp_path: Path) -> None:
    found = kaldi.clips(folder(tmp_path, segments=None, text="r1 yes\nr2\n", utt2spk=None), TRAIN)
    assert [(clip.label, clip.speaker, clip.duration_s) for clip in found] == [
        ("yes", None, None),
        ("_background_", None, None),
    ]


def test_tabs_and_spaces_separate(tmp_path: Path) -> None:
    found = kaldi.clips(folder(tmp_path, text="u1\they  snips\r\nu2   stop\r\n", utt2spk="u1\tann\n"), TRAIN)
    assert [(clip.label, clip.speaker) for clip in found] == [("hey snips", "ann"), ("stop", None)]


def test_a_path_is_sought_beside_the_folder_then_where_kaldi_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "r 2.flac").write_text("x")
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.chdir(tmp_path)
    assert kaldi.clips(folder(data), TRAIN)[1].path == tmp_path / "near" / "r 2.flac"


BROKEN: dict[str, tuple[dict[str, str | None], str]] = {
    "a command": ({"wav_scp": "r1 sox a.wav -t wav - |\n"}, "wav.scp:1: 'sox a.wav -t wav - |' is a command"),
    "a command without space": ({"wav_scp": "r1 touch pwned|\n"}, "is a command, which is never run"),
    "standard input": ({"wav_scp": "r1 -\n"}, "names no audio file"),
    "no path": ({"wav_scp": "r1\n"}, "names no audio file"),
    "within an archive": ({"wav_scp": "r1 raw.ark:1234\n"}, "a place within an archive"),
    "a range of an archive": ({"wav_scp": "r1 a.wav[0:3]\n"}, "a place within an archive"),
    "recording twice": ({"wav_scp": "r1 a.wav\nr1 b.wav\n"}, "wav.scp:2: 'r1' is already in line 1"),
    "empty wav.scp": ({"wav_scp": "\n"}, "wav.scp is empty"),
    "no wav.scp": ({"wav_scp": None}, "There is no"),
    "no text": ({"text": None}, "There is no"),
    "text lacks one": ({"text": "u1 hey\n"}, "no line for the utterance 'u2'"),
    "utterance twice": ({"text": "u1 hey\nu1 ho\nu2 x\n"}, "text:2: 'u1' is already"),
    "unknown recording": ({"segments": "u1 r9 0 1\n"}, "recording 'r9' is not in wav.scp"),
    "segment of two values": ({"segments": "u1 r1 0\n"}, "segments:1: 'r1 0'"),
    "segment of words": ({"segments": "u1 r1 a b\n"}, "from 'a' to 'b' s"),
    "segment backwards": ({"segments": "u1 r1 2 1\n"}, "from '2' to '1' s"),
    "segment of no length": ({"segments": "u1 r1 1 1\n"}, "from '1' to '1' s"),
    "segment before the start": ({"segments": "u1 r1 -2 1\n"}, "from '-2' to '1' s"),
    "segment of NaN": ({"segments": "u1 r1 nan 1\n"}, "from 'nan' to '1' s"),
    "endless segment": ({"segments": "u1 r1 0 inf\n"}, "from '0' to 'inf' s"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_folders_are_refused_with_file_and_line(kind: str, tmp_path: Path) -> None:
    files, told = BROKEN[kind]
    with pytest.raises(ManifestError) as caught:
        kaldi.clips(folder(tmp_path, **files), TRAIN)
    assert told in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_command_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    with pytest.raises(ManifestError, match="never run"):
        kaldi.clips(folder(tmp_path, wav_scp=f"r1 touch {target} |\n"), TRAIN)
    assert not target.exists()


def test_not_utf8_and_not_a_folder_are_named(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "text").write_bytes(b"u1 \xff\n")
    with pytest.raises(ManifestError, match="not UTF-8, at byte 3"):
        kaldi.clips(tmp_path, TRAIN)
    with pytest.raises(ManifestError, match="not a folder"):
        kaldi.clips(tmp_path / "text", TRAIN)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(WHOLE)),
    content=st.binary(max_size=60) | st.text(alphabet="u12r \t\n|.-:[]0nax\0", max_size=40).map(str.encode),
)
def test_any_content_gives_clips_or_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / name).write_bytes(content)
    try:
        kaldi.clips(tmp_path, TRAIN)
    except KwsctlError as error:
        assert "\n" not in str(error)
