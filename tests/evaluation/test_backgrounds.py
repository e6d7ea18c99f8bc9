from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.errors import InputError
from kwsctl.evaluation import backgrounds, scoring

from .tones import RATE_HZ, quiet, store_of, tone, tone_bundle

BUNDLE = tone_bundle(("low",), "wake")
SCORING = {"hop_s": 0.1, "batch_size": 64}


def sound(seconds: float, at_s: float) -> np.ndarray:
    """Faint noise with one word in it."""
    wave = np.random.default_rng(0).normal(0, 1e-3, round(seconds * RATE_HZ)).astype(np.float32)
    start = round(at_s * RATE_HZ)
    wave[start : start + RATE_HZ] += tone("low")[: len(wave) - start] / np.float32(32768)
    return wave


def test_a_file_scores_as_its_samples_do(tmp_path: Path) -> None:
    files.write(tmp_path / "talk.wav", sound(6.0, 3.0), RATE_HZ)
    found = backgrounds.from_path(BUNDLE, tmp_path / "talk.wav", **SCORING)
    whole = scoring.score_stream(BUNDLE, files.read(tmp_path / "talk.wav"))
    assert found.name == str(tmp_path / "talk.wav")
    assert found.streams[0].values == pytest.approx(whole.values, abs=1e-6)
    assert found.streams[0].seconds == pytest.approx(6.0)
    assert found.streams[0].times_s[found.streams[0].values.argmax()] == pytest.approx(4.0, abs=0.11)


def test_a_long_file_at_another_rate_scores_as_if_read_whole(tmp_path: Path) -> None:
    time_s = np.arange(150 * 8000) / 8000  # more than two of the pieces in which files are read
    wave = 0.2 * np.sin(2 * np.pi * (200 + 3 * time_s) * time_s) * (np.sin(time_s) > 0)
    wave[30 * 8000 : 100 * 8000] = 0  # a minute of digital silence is no fault
    files.write(tmp_path / "long.flac", wave.astype(np.float32), 8000)
    found = backgrounds.from_path(BUNDLE, tmp_path / "long.flac", **SCORING).streams[0]
    whole = scoring.score_stream(BUNDLE, files.read(tmp_path / "long.flac"))
    assert found.values == pytest.approx(whole.values, abs=1e-5)
    assert found.seconds == whole.seconds and found.values.std() > 0.01


def test_a_folder_gives_a_stream_per_audio_file(tmp_path: Path) -> None:
    for name, seconds in [("b/two.flac", 2.0), ("a.wav", 1.5), ("c.ogg", 3.0)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        files.write(tmp_path / name, sound(seconds, 0.2), RATE_HZ)
    (tmp_path / "notes.txt").write_text("not audio")
    told = []
    found = backgrounds.from_path(
        BUNDLE, tmp_path, **SCORING, progress=lambda done, total: told.append((done, total))
    )
    assert [round(stream.seconds, 1) for stream in found.streams] == [1.5, 2.0, 3.0]
    assert told[-1] == (6, 6) and [done for done, _ in told] == sorted(done for done, _ in told)


def test_nothing_to_hear_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no audio file in the folder"):
        backgrounds.from_path(BUNDLE, tmp_path, **SCORING)
    with pytest.raises(InputError, match=r"missing\.wav"):
        backgrounds.from_path(BUNDLE, tmp_path / "missing.wav", **SCORING)


def test_clips_of_a_store_are_streams_of_their_own() -> None:
    store = store_of(
        ("_background_", None, quiet(3.0)), ("low", None, tone("low")), ("_background_", None, quiet(1.2))
    )
    found = backgrounds.from_store(BUNDLE, store, np.array([0, 2]), **SCORING)
    assert found.name == "manifest"
    assert [(len(stream.values), stream.seconds) for stream in found.streams] == [(21, 3.0), (3, 1.2)]
