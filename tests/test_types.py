"""The shared values refuse what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.types import Clip, FeatureSpec, Scores


@pytest.mark.parametrize(("seconds", "frames"), [(1.0, 98), (1.5, 148), (0.03, 1), (0.029, 0), (0.04, 2)])
def test_frames_need_a_whole_window_each(seconds: float, frames: int) -> None:
    assert FeatureSpec().frames(seconds) == frames


def test_mel_bands_beyond_the_nyquist_frequency_are_refused() -> None:
    with pytest.raises(InputError, match=r"span 20-7600 Hz. They must lie within 0-4000 Hz"):
        FeatureSpec(sample_rate_hz=8000)


def test_a_hop_longer_than_the_window_is_refused() -> None:
    with pytest.raises(InputError, match="leaves gaps"):
        FeatureSpec(window_ms=10, hop_ms=20)


def test_clips_of_one_file_have_different_ids() -> None:
    assert Clip(Path("a.wav"), "x").id == "a.wav"
    assert Clip(Path("a.wav"), "x", start_s=1.5).id == "a.wav@1.5"


def test_scores_of_different_lengths_are_refused() -> None:
    values = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(InputError, match="do not fit together"):
        Scores(("a", "b", "c"), values, np.zeros(3, dtype=np.int64), ["x"] * 3, [None] * 3)
