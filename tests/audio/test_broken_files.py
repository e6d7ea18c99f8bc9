from __future__ import annotations

import os
import re
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kwsctl.audio import files
from kwsctl.errors import InputError

from .broken import CODINGS, REFUSED, encoded, outcome, put, tone, u32

ENCODED = {name: encoded(name) for name in CODINGS}
EDIT = st.tuples(
    st.sampled_from(["flip", "zero", "fill", "insert", "remove", "cut"]),
    st.one_of(st.integers(0, 120), st.integers(0, 20_000)),  # headers first of all
    st.integers(1, 8),
    st.integers(1, 255),
)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_broken_file_is_refused_by_name_with_the_fault_and_a_remedy(kind: str, tmp_path: Path):
    name, change, fault = REFUSED[kind]
    path = tmp_path / f"broken.{name}"
    path.write_bytes(change(ENCODED[name]))
    error = outcome(path)
    assert isinstance(error, InputError)
    assert re.search(fault, error.message)


def test_there_are_forty_kinds_of_broken_file():
    contents = {change(ENCODED[name]) for name, change, _ in REFUSED.values()}
    assert len(contents) == len(REFUSED) >= 40


@pytest.mark.parametrize("name", CODINGS)
def test_a_file_cut_anywhere_is_refused_or_read_as_what_is_left(name: str, tmp_path: Path):
    path, whole = tmp_path / f"cut.{name}", ENCODED[name]
    for length in [*range(0, 100, 7), *range(100, len(whole), len(whole) // 23), len(whole) - 1]:
        path.write_bytes(whole[:length])
        result = outcome(path)
        assert isinstance(result, InputError) or name in ("mp3", "ogg", "opus")
    path.write_bytes(whole)
    assert len(outcome(path)) == len(tone())


@given(name=st.sampled_from(list(CODINGS)), edits=st.lists(EDIT, min_size=1, max_size=4))
@example(name="wav", edits=[("fill", 24, 2, 1)])  # a sample rate that shares no divisor with 16 kHz
@settings(deadline=None, max_examples=300)
def test_damage_anywhere_gives_sound_samples_or_an_error(name: str, edits: list[tuple[str, int, int, int]]):
    content = bytearray(ENCODED[name])
    for how, at, length, value in edits:
        there = slice(at, at + length)
        if how == "flip":
            content[there] = bytes(byte ^ value for byte in content[there])
        elif how in ("zero", "fill"):
            content[there] = bytes([value if how == "fill" else 0]) * len(content[there])
        elif how == "insert":
            content[at:at] = bytes([value]) * length
        else:
            del content[there if how == "remove" else slice(at, None)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"damaged.{name}")
        path.write_bytes(content)
        outcome(path)


@given(
    content=st.binary(max_size=300),
    magic=st.sampled_from([b"", b"RIFF....WAVEfmt ", b"fLaC", b"OggS", b"ID3"]),
)
@settings(deadline=None, max_examples=100)
def test_random_bytes_are_not_audio(content: bytes, magic: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "random.wav")
        path.write_bytes(magic + content)
        outcome(path)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.symlink_to("nowhere.wav"), "does not exist"),
        (lambda path: path.symlink_to(path), "cannot be read|does not exist"),
        (lambda path: os.mkfifo(path), "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
    ],
    ids=["missing", "folder", "dangling link", "link to itself", "pipe", "device"],
)
def test_a_path_that_is_no_file_is_refused(make, fault: str, tmp_path: Path):
    path = tmp_path / "clip.wav"
    make(path)
    error = outcome(path)
    assert isinstance(error, InputError)
    assert re.search(fault, error.message)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.wav"
    path.write_bytes(ENCODED["wav"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # mode bits do not stop the administrator
    with pytest.raises(InputError, match=r"clip\.wav cannot be read: Permission denied\. Check the path and"):
        files.read(path)


@pytest.mark.parametrize("name", ["two\nlines.wav", "\x00.wav"])
def test_a_name_with_control_characters_stays_on_one_line(name: str, tmp_path: Path):
    with pytest.raises(InputError, match="does not exist") as caught:
        files.read(tmp_path / name)
    assert str(caught.value).isprintable()


def test_a_file_named_raw_is_not_taken_for_samples(tmp_path: Path):
    path = tmp_path / "notes.raw"
    path.write_bytes(bytes(range(256)) * 10)
    assert isinstance(outcome(path), InputError)


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000])
def test_a_recording_from_a_pipe_claims_no_length_and_is_read(claim: int, tmp_path: Path):
    path = tmp_path / "pipe.wav"
    path.write_bytes(put(40, u32(claim))(ENCODED["wav"]))
    assert len(outcome(path)) == len(tone())


def test_headers_that_lie_cost_no_memory(tmp_path: Path):
    hours = tmp_path / "hours.flac"
    hours.write_bytes(put(22, (3 * 3600 * 16_000).to_bytes(4, "big"))(ENCODED["flac"]))  # less than the limit
    sparse = tmp_path / "sparse.wav"
    sparse.write_bytes(put(40, u32(0x7FFE_0000))(ENCODED["wav"]))
    os.truncate(sparse, 44 + 0x7FFE_0000)
    zeros = tmp_path / "zeros.wav"
    zeros.touch()
    os.truncate(zeros, 2**36)
    tracemalloc.start()
    try:
        faults = [str(outcome(path)) for path in (hours, sparse, zeros)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert re.search(r"hours.flac is (cut off|not audio)", faults[0])
    assert "lasts 18.6 hours; at most 4.0 hours are read" in faults[1]
    assert "not audio" in faults[2]
    assert peak < 32e6


def test_a_silent_stretch_of_a_sounding_file_is_refused(tmp_path: Path):
    path = tmp_path / "half.wav"
    files.write(path, np.concatenate([tone(), np.zeros(16_000, np.float32)]), 16_000)
    assert files.read(path).any()
    with pytest.raises(InputError, match="silent"):
        files.read(path, start_s=0.6)
