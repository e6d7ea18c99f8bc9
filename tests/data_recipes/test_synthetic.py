from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from kwsctl.data import manifest
from kwsctl.data_recipes import synthetic
from kwsctl.data_recipes.synthetic import Options
from kwsctl.errors import ExtensionError, InputError
from kwsctl.types import BACKGROUND, UNKNOWN, Clip

TINY = Options(
    phrase="Open  Sesame", engines=("hibari", "nanotts"), speakers=3, takes=2, negatives=4, background_min=0.6
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.obtain(tmp_path_factory.mktemp("corpus"), TINY)


def contents(clips: list[Clip], root: Path) -> dict[str, bytes]:
    return {str(clip.path.relative_to(root.resolve())): clip.path.read_bytes() for clip in clips}


def test_it_has_everything_in_every_split(corpus: Path) -> None:
    clips = list(synthetic.clips(corpus, TINY))
    assert {(clip.split, clip.label) for clip in clips} == {
        (split, label) for split in ("train", "val", "test") for label in ("open sesame", UNKNOWN, BACKGROUND)
    }
    manifest.check_speakers(clips, "the corpus")
    engines = {(clip.speaker.split("-")[0], clip.split) for clip in clips if clip.speaker}
    assert engines == {(e, s) for e in ("hibari", "nanotts") for s in ("train", "val", "test")}
    takes = Counter(clip.speaker for clip in clips if clip.label == "open sesame")
    assert set(takes.values()) == {2, 3, 4}


def test_clips_are_16_khz_and_hold_speech(corpus: Path) -> None:
    for clip in synthetic.clips(corpus, TINY):
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        if clip.label == BACKGROUND:
            assert info.duration > 10
        elif clip.label == "open sesame":
            assert 0.5 < info.duration < 2.5


def test_a_larger_corpus_in_the_same_folder_speaks_only_what_is_new(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus / "cache", tmp_path / "cache")
    larger = dataclasses.replace(TINY, takes=3)
    first: list[int] = []
    synthetic.obtain(tmp_path, larger, progress=lambda done, total, **_: first.append(done))
    spoken = [clip for clip in synthetic.clips(corpus, TINY) if clip.speaker]
    assert first[0] == len(spoken)
    assert len(list(synthetic.clips(tmp_path, larger))) > len(list(synthetic.clips(corpus, TINY)))


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from kwsctl.data_recipes.synthetic import Options, obtain; "
        f"obtain(Path({str(tmp_path)!r}), Options(**{dataclasses.asdict(TINY)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    give_up = time.monotonic() + 120
    while len(spoken := list(tmp_path.glob("cache/*/*.flac"))) < 5:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < give_up
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob("*.csv"))
    _wait_until_nobody_writes(tmp_path, give_up)

    kept = {path: path.stat().st_mtime_ns for path in spoken}
    done: list[int] = []
    synthetic.obtain(tmp_path, TINY, progress=lambda at, total, **_: done.append(at))
    assert done[0] >= len(spoken)
    assert {path: path.stat().st_mtime_ns for path in spoken} == kept
    assert contents(list(synthetic.clips(tmp_path, TINY)), tmp_path) == contents(
        list(synthetic.clips(corpus, TINY)), corpus
    )


def _wait_until_nobody_writes(folder: Path, give_up: float) -> None:
    """Workers finish their clip and leave when the process that asked is gone."""
    while any(str(folder) in _requests(process) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < give_up, "a worker outlived its master"
        time.sleep(0.05)


def _requests(process: Path) -> str:
    """Names the files that a process has open, as far as this system tells."""
    try:
        return " ".join(str(handle.readlink()) for handle in (process / "fd").iterdir())
    except OSError:
        return ""


def test_facts_are_recorded(corpus: Path) -> None:
    facts = synthetic.facts(corpus, TINY)
    assert facts["synthetic"] is True
    assert facts["phrases"] == ["open sesame"]
    assert facts["clips"] == len(list(synthetic.clips(corpus, TINY)))
    assert facts["speakers"] == 6
    assert set(facts["engines"]) == {"hibari", "nanotts"}
    assert facts["missing"] == {}


def test_a_missing_engine_is_recorded_and_the_others_speak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    options = dataclasses.replace(TINY, engines=("espeak", "nanotts"), takes=1, negatives=0, background_min=0)
    synthetic.obtain(tmp_path, options)
    facts = synthetic.facts(tmp_path, options)
    assert "kwsctl[espeak]" in facts["missing"]["espeak"]
    assert set(facts["engines"]) == {"nanotts"}
    assert {clip.label for clip in synthetic.clips(tmp_path, options)} == {"open sesame"}


def test_no_engine_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ExtensionError, match=r"No voice can speak here.*kwsctl\[espeak\]"):
        synthetic.obtain(tmp_path, Options(engines=("espeak",)))


def test_several_keywords(tmp_path: Path) -> None:
    options = dataclasses.replace(
        TINY, phrases=("yes", "no", "Yes"), engines=("nanotts",), takes=1, negatives=2, background_min=0
    )
    synthetic.obtain(tmp_path, options)
    labels = Counter(clip.label for clip in synthetic.clips(tmp_path, options))
    assert set(labels) == {"yes", "no", UNKNOWN}
    assert labels["yes"] == labels["no"] == 3 + 1 + 2


def test_clips_of_what_was_not_spoken_are_refused(corpus: Path) -> None:
    with pytest.raises(InputError, match="kwsctl data prepare synthetic"):
        list(synthetic.clips(corpus, dataclasses.replace(TINY, seed=1)))


@pytest.mark.parametrize(
    ("name", "value"), [("speakers", 2), ("takes", 0), ("negatives", -1), ("background_min", -0.5)]
)
def test_amounts_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"The option {name} is {value}"):
        Options(**{name: value})  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    assert "Synthetic speech, not evidence about real people" in synthetic.LICENCE
    for name in ("Kokoro", "hibari", "Pico", "espeak-ng"):
        assert name in synthetic.LICENCE
        assert name in synthetic.CITATION
    assert "\n" not in synthetic.SUMMARY
