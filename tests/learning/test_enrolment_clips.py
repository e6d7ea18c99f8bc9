"""Which clips of a person can be used: every reason against one, and what becomes of the others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl.audio import files
from kwsctl.features.augmentation import middle
from kwsctl.features.logmel import logmel
from kwsctl.learning.enrolment_clips import outliers, read, take
from kwsctl.storage import sha256_of
from tests.toy_people import NEW_WORDS, RATE_HZ, encoder, keyword_model, say, spoken_to, write

WORD = NEW_WORDS[0]


def noise(seconds: float, level: float = 0.003, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).normal(size=round(seconds * RATE_HZ))).astype(np.float32)


def beep(seconds: float, total_s: float = 1.0) -> np.ndarray:
    wave = noise(total_s)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave[4000 : 4000 + len(time_s)] += 0.3 * np.sin(2 * np.pi * 700 * time_s).astype(np.float32)
    return wave


TWICE = np.concatenate([say(WORD, 20, 1), noise(0.3), say(WORD, 20, 2)])


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE_HZ, dtype=np.float32), ".*bad.wav is silent: every sample is zero. Record it again"),
        (noise(1.0, 3e-4), "silent: speak louder, or check the microphone"),
        (np.clip(20 * say(WORD, 20), -1, 1), "clipped: move back from the microphone, or lower its gain"),
        (noise(1.0, 0.1), "no speech stands out of the noise: record where it is quieter"),
        (beep(0.05), r"too short: 0\.1\d s of speech, a keyword needs 0\.2 s or more"),
        (TWICE, "2 utterances: give one in each clip"),
        (beep(1.6, 2.5), r"too long: 1\.[67] s of speech, this model hears 1 s at a time"),
    ],
    ids=["zeros", "silent", "clipped", "noise", "short", "two", "long"],
)
def test_every_fault_has_its_reason(tmp_path: Path, samples: np.ndarray, reason: str) -> None:
    good = write(tmp_path, WORD, 20, 2)
    files.write(tmp_path / "bad.wav", samples, RATE_HZ)
    takes, rejected = read([good[0], tmp_path / "bad.wav", good[1]], encoder())
    assert [t.path for t in takes] == good
    (one,) = rejected
    assert one.path == tmp_path / "bad.wav"
    with pytest.raises(ValueError, match=f"^{reason}"):
        raise ValueError(one.reason)


def test_what_is_not_audio_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("say it five times")
    (good,) = write(tmp_path, WORD, 20, 1)
    takes, rejected = read([tmp_path / "notes.wav", good, tmp_path / "gone.wav"], encoder())
    assert [t.path for t in takes] == [good]
    assert [r.path.name for r in rejected] == ["notes.wav", "gone.wav"]
    assert all(r.reason and "\n" not in r.reason for r in rejected)


def test_the_same_recording_twice_counts_once(tmp_path: Path) -> None:
    one, two = write(tmp_path, WORD, 20, 2)
    (tmp_path / "copy.wav").write_bytes(one.read_bytes())
    takes, rejected = read([one, two, tmp_path / "copy.wav"], encoder())
    assert [t.path for t in takes] == [one, two]
    assert [r.reason for r in rejected] == [f"the same recording as {one.name}"]
    assert [t.sha256 for t in takes] == [sha256_of(one), sha256_of(two)]


def test_clips_at_another_rate_are_heard_the_same(tmp_path: Path) -> None:
    (path,) = write(tmp_path, WORD, 20, 1)
    files.write(tmp_path / "fast.wav", np.repeat(files.read(path, rate_hz=RATE_HZ), 3), 48_000)
    takes, rejected = read([path, tmp_path / "fast.wav"], encoder())
    assert not rejected
    low = slice(0, 25)  # holding samples adds images far above
    one, same = (middle(t.power[None], 98)[0, low] for t in takes)
    assert float((one - same).abs().median()) < 0.3


def test_a_take_has_the_speech_in_its_middle_and_a_margin_on_both_sides() -> None:
    base, quiet = encoder(), noise(3.0, 1e-4)
    spoken = say(WORD, 20, 5)
    for start in (0, 16_000, 32_000):
        samples = quiet.copy()
        samples[start : start + len(spoken)] += spoken
        found = take(samples, base, Path("x.wav"), "")
        assert found.power.shape == (40, base.n_frames + 16)
        first, last = found.speech_frames
        assert 0 <= first < last <= found.power.shape[1]
        assert abs((first + last) / 2 - found.power.shape[1] / 2) <= 3
        loud = found.power.sum(0)
        assert float(loud[first:last].sum() / loud.sum()) > 0.95


def test_the_middle_of_a_take_are_the_features_of_that_window() -> None:
    base, samples = encoder(), say(WORD, 20, 5, seconds=3.0)
    found = take(samples, base, Path("x.wav"), "")
    from kwsctl.audio import vad

    start, end = vad.speech_span(samples, RATE_HZ)
    first = (start + end - RATE_HZ) // 2
    wanted = logmel(torch.from_numpy(samples[first : first + RATE_HZ])[None], base.features)
    torch.testing.assert_close(middle(found.power[None], base.n_frames), wanted, atol=0.02, rtol=0.01)


def test_of_five_clips_the_one_that_is_another_word_is_found() -> None:
    base = encoder()
    same = spoken_to(WORD, 20, 4, base)
    for at in range(5):
        clips = [*same[:at], *spoken_to("012", 20, 1, base), *same[at:]]
        assert outliers(base, clips) == [at]
    assert outliers(base, spoken_to(WORD, 20, 5, base)) == []


def test_of_two_that_differ_nobody_knows_which_is_wrong() -> None:
    base = encoder()
    clips = [*spoken_to(WORD, 20, 1, base), *spoken_to("012", 20, 1, base)]
    assert outliers(base, clips) == []
    assert outliers(base, []) == []


def test_never_half_of_the_clips_are_outliers() -> None:
    base = encoder()
    for n_strange in (2, 3):
        words = ("012", "034", "701")[:n_strange]
        clips = [*spoken_to(WORD, 20, 2, base), *(t for w in words for t in spoken_to(w, 20, 1, base))]
        assert len(outliers(base, clips)) <= (len(clips) - 1) // 2


def test_embeddings_that_are_not_of_length_one_say_nothing_of_outliers() -> None:
    base = keyword_model()
    clips = [*spoken_to(WORD, 20, 4, base), *spoken_to("012", 20, 1, base)]
    assert outliers(base, clips) == []


def test_a_base_with_a_longer_window_takes_longer_words(tmp_path: Path) -> None:
    files.write(tmp_path / "long.wav", beep(1.6, 2.5), RATE_HZ)
    longer = dataclasses.replace(encoder(), clip_s=1.5)
    takes, rejected = read([tmp_path / "long.wav"], longer)
    assert not rejected and takes[0].power.shape[1] == longer.n_frames + 16
