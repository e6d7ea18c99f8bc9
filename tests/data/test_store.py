from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kwsctl.data import decoding, manifest, store
from kwsctl.data.prepare import prepared
from kwsctl.errors import InputError
from kwsctl.types import Clip


def tone(path: Path, hz: float, seconds: float = 0.1, rate_hz: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    soundfile.write(path, wave, rate_hz, subtype="PCM_16")
    return path


def corpus(folder: Path, n: int) -> list[Clip]:
    splits = ("train", "train", "val", "test")
    return [
        Clip(
            tone(folder / f"{i:03}.wav", 200 + 10 * i, 0.05 + 0.001 * i),
            f"w{i % 3}",
            f"s{i % 4}",
            splits[i % 4],
        )
        for i in range(n)
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def test_keeps_the_samples_bit_for_bit_end_to_end(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 7)
    made = store.prepare(clips, tmp_path / "store")
    assert made.samples.dtype == np.int16
    assert made.offsets[-1] == len(made.samples)
    assert len(made) == 7
    assert made.rate_hz == 16_000
    for i, clip in enumerate(clips):
        wave, _ = soundfile.read(clip.path, dtype="int16")
        np.testing.assert_array_equal(made.audio(i), wave)
        assert made.clips[i].sha256 == hashlib.sha256(clip.path.read_bytes()).hexdigest()
    assert made.seconds == pytest.approx(sum(0.05 + 0.001 * i for i in range(7)), abs=1e-3)
    assert np.shares_memory(made.audio(3), made.samples)


def test_reads_stretches_of_one_long_file(tmp_path: Path) -> None:
    long = tone(tmp_path / "long.wav", 300, 2.0)
    wave, _ = soundfile.read(long, dtype="int16")
    clips = [
        Clip(long, "_background_", start_s=0.5, duration_s=0.25),
        Clip(long, "_background_", start_s=1.5),
    ]
    made = store.prepare(clips, tmp_path / "store")
    np.testing.assert_array_equal(made.audio(0), wave[8000:12000])
    np.testing.assert_array_equal(made.audio(1), wave[24000:])


def test_finds_clips_by_split_label_and_speaker(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 12)
    made = store.prepare(clips, tmp_path / "store")
    assert made.where().tolist() == list(range(12))
    assert made.where(split="val").tolist() == [2, 6, 10]
    assert made.where(split="train", labels={"w1"}).tolist() == [1, 4]
    assert made.where(speakers=["s3"]).tolist() == [3, 7, 11]
    assert made.where(labels=[]).tolist() == []


def test_bad_clips_are_rejected_with_their_reason(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 4)
    clips[1].path.write_bytes(b"not audio")
    clips[2].path.unlink()
    soundfile.write(clips[3].path, np.zeros(800), 16_000)
    reports: list[dict[str, object]] = []
    made = store.prepare(
        clips, tmp_path / "store", progress=lambda done, total, /, **facts: reports.append(facts)
    )
    assert [clip.path for clip in made.clips] == [clips[0].path]
    assert [reject.path for reject in made.rejected] == [clip.path for clip in clips[1:]]
    assert "not audio" in made.rejected[0].reason
    assert "No such file" in made.rejected[1].reason
    assert "silent" in made.rejected[2].reason
    assert reports[-1]["rejected"] == 3


def test_all_clips_bad_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 2)
    for clip in clips:
        clip.path.write_bytes(b"not audio")
    with pytest.raises(InputError, match="None of the 2 clips can be used"):
        store.prepare(clips, tmp_path / "store")
    assert files_of(tmp_path / "store") == {}
    with pytest.raises(InputError, match="no clips"):
        store.prepare([], tmp_path / "store")


def never(*_: object, **__: object) -> None:
    raise AssertionError("decoded again")


def test_the_same_clips_are_never_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = corpus(tmp_path / "in", 5)
    first = store.prepare(clips, tmp_path / "store")
    monkeypatch.setattr(decoding.files, "read", never)
    again = store.prepare(clips, tmp_path / "store")
    assert again.clips == first.clips
    relabelled = [Clip(c.path, "other", c.speaker, c.split) for c in clips]
    assert {c.label for c in store.prepare(relabelled, tmp_path / "store").clips} == {"other"}
    assert {c.label for c in store.open_store(tmp_path / "store").clips} == {"other"}


@pytest.mark.parametrize("change", ["content", "order", "span", "fewer", "rate"])
def test_another_list_is_decoded_anew_and_the_old_audio_deleted(change: str, tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 5)
    old = store.prepare(clips, tmp_path / "store")
    kept = np.array(old.samples)
    rate_hz = 8_000 if change == "rate" else 16_000
    if change == "content":
        tone(clips[0].path, 777, 0.05)
        os.utime(clips[0].path, ns=(1, 1))
    elif change == "order":
        clips = clips[::-1]
    elif change == "span":
        clips[2] = Clip(clips[2].path, "w", None, "val", 0.01)
    elif change == "fewer":
        clips = clips[1:]
    made = store.prepare(clips, tmp_path / "store", rate_hz=rate_hz)
    assert made.rate_hz == rate_hz
    assert not np.array_equal(made.samples, kept)
    assert np.array_equal(old.samples, kept), "who has the old store open goes on reading it"
    assert len(list((tmp_path / "store").glob("audio-*"))) == 1


def test_a_clip_that_was_missing_is_taken_once_it_is_there(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 3)
    clips[1].path.rename(tmp_path / "away.wav")
    assert len(store.prepare(clips, tmp_path / "store").rejected) == 1
    (tmp_path / "away.wav").rename(clips[1].path)
    assert len(store.prepare(clips, tmp_path / "store").rejected) == 0


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no index": lambda folder: (folder / "index.json").unlink(),
    "cut index": lambda folder: cut(folder / "index.json"),
    "empty index": lambda folder: (folder / "index.json").write_text(""),
    "index of something else": lambda folder: (folder / "index.json").write_text("[1, 2]") and None,
    "no audio": lambda folder: next(folder.glob("audio-*")).unlink(),
    "cut audio": lambda folder: cut(next(folder.glob("audio-*"))),
    "newer format": lambda folder: (
        (folder / "index.json").write_text(
            (folder / "index.json").read_text().replace('"format":1', '"format":99')
        )
        and None
    ),
    "one row missing": lambda folder: (
        (folder / "index.json").write_text(
            json.dumps(json.loads((folder / "index.json").read_text()) | {"rows": []})
        )
        and None
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_refused_and_made_again(damage: str, tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 4)
    folder = tmp_path / "store"
    store.prepare(clips, folder)
    whole = files_of(folder)
    DAMAGE[damage](folder)
    with pytest.raises(InputError, match="no whole clip store"):
        store.open_store(folder)
    store.prepare(clips, folder)
    assert files_of(folder) == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from kwsctl.data import decoding, manifest, store

decoding._CHUNK_CLIPS = 5
left = int(sys.argv[3])
def dying(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
os.fsync = dying(os.fsync)
os.replace = dying(os.replace)
store.prepare(manifest.read(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def run_until_killed(manifest_file: Path, folder: Path, at: int) -> int:
    return subprocess.run(
        [sys.executable, "-c", KILLED, manifest_file, folder, str(at)], check=False
    ).returncode


def test_killed_at_any_step_the_next_call_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 23)
    clips[7].path.write_bytes(b"not audio")
    manifest.write(tmp_path / "m.csv", clips)
    clips = manifest.read(tmp_path / "m.csv")
    store.prepare(clips, tmp_path / "whole")
    whole = files_of(tmp_path / "whole")
    for at in (1, 4, 9, 11, 12):  # 5 chunks x 2 syncs, then the index: sync, rename, sync
        folder = tmp_path / f"killed-{at}"
        assert run_until_killed(tmp_path / "m.csv", folder, at) == -signal.SIGKILL
        done: list[int] = []
        store.prepare(clips, folder, progress=lambda d, t, /, _done=done, **f: _done.append(d))  # type: ignore[misc]
        assert files_of(folder) == whole
        goes_on_at = [min((at + 1) // 2 * 5, 23)] if at < 12 else []
        assert done[:1] == goes_on_at, "after the last chunk in the journal; not at all if the index is there"


def test_killed_twice_and_with_torn_tails_it_still_ends_with_the_same_bytes(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 23)
    manifest.write(tmp_path / "m.csv", clips)
    clips = manifest.read(tmp_path / "m.csv")
    store.prepare(clips, tmp_path / "whole")
    folder = tmp_path / "killed"
    assert run_until_killed(tmp_path / "m.csv", folder, 3) == -signal.SIGKILL
    with next(folder.glob("audio-*")).open("ab") as audio:
        audio.write(b"\x01" * 333)  # samples that no line of the journal vouches for
    with next(folder.glob("journal-*")).open("ab") as journal:
        journal.write(b'[[800,"abc')
    assert run_until_killed(tmp_path / "m.csv", folder, 4) == -signal.SIGKILL
    shutil.copytree(folder, tmp_path / "copy")
    store.prepare(clips, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(tmp_path / "whole")
    with next(folder.glob("audio-*")).open("rb+") as audio:
        audio.truncate(5000)  # a disk that lost what it had promised
    store.prepare(clips, folder)
    assert files_of(folder) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("line", [b"\0" * 50 + b"\n", b"[]\n", b"[[1]]\n", b"7\n", b"\xff\n"])
def test_a_spoilt_line_of_the_journal_ends_what_it_vouches_for(line: bytes, tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 12)
    store.prepare(clips, tmp_path / "whole")
    folder = tmp_path / "killed"
    manifest.write(tmp_path / "m.csv", clips)
    assert run_until_killed(tmp_path / "m.csv", folder, 3) == -signal.SIGKILL
    with next(folder.glob("journal-*")).open("ab") as journal:
        journal.write(line)
    store.prepare(manifest.read(tmp_path / "m.csv"), folder)
    assert files_of(folder) == files_of(tmp_path / "whole")


def test_a_killed_change_leaves_the_old_store_whole(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 12)
    folder = tmp_path / "store"
    store.prepare(clips[:4], folder)
    before = np.array(store.open_store(folder).samples)
    manifest.write(tmp_path / "m.csv", clips)
    assert run_until_killed(tmp_path / "m.csv", folder, 3) == -signal.SIGKILL
    np.testing.assert_array_equal(store.open_store(folder).samples, before)
    assert len(store.prepare(manifest.read(tmp_path / "m.csv"), folder)) == 12


def test_two_at_once_do_the_work_once(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "in", 30)
    starts: list[int] = []

    def work() -> None:
        store.prepare(clips, tmp_path / "store", progress=lambda done, total, /, **f: starts.append(done))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts.count(0) == 1
    assert len(store.open_store(tmp_path / "store")) == 30


def test_prepared_places_the_store_in_the_home_by_manifest_and_rate(tmp_path: Path) -> None:
    clips = corpus(tmp_path / "corpus" / "in", 4)
    file = tmp_path / "corpus" / "manifest.csv"
    manifest.write(file, clips)
    made = prepared(file, tmp_path / "home")
    assert made.folder.parent == tmp_path / "home" / "prepared"
    assert made.folder.name.startswith("corpus-")
    assert prepared(file, tmp_path / "home").folder == made.folder
    assert prepared(file, tmp_path / "home", rate_hz=8_000).folder != made.folder
    manifest.write(tmp_path / "corpus" / "other.csv", clips)
    assert prepared(tmp_path / "corpus" / "other.csv", tmp_path / "home").folder.name.startswith("other-")
