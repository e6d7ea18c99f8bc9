from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.audio.resampling import resample, resample_blocks


def tone(frequency_hz: float, rate_hz: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(rate_hz) / rate_hz).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 5 : -len(samples) // 5]
    return 10 * np.log10(2 * np.square(middle).mean() + 1e-20)


@pytest.mark.parametrize("from_hz", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("frequency_hz", [100, 1_000, 4_000, 7_000])
def test_the_speech_band_passes(from_hz: int, frequency_hz: float):
    assert abs(level_db(resample(tone(frequency_hz, from_hz), from_hz, 16_000))) < 0.05


@pytest.mark.parametrize("from_hz", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("frequency_hz", [8_100, 9_000, 12_000, 15_000])
def test_what_would_alias_is_removed(from_hz: int, frequency_hz: float):
    assert level_db(resample(tone(frequency_hz, from_hz), from_hz, 16_000)) < -60


@given(
    lengths=st.lists(st.integers(0, 3_000), max_size=8),
    rates=st.sampled_from(
        [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_001, 16_000), (16_000, 16_000)]
    ),
)
@settings(deadline=None, max_examples=60)
def test_blocks_give_the_same_as_the_whole(lengths: list[int], rates: tuple[int, int]):
    whole = np.random.default_rng(0).standard_normal(sum(lengths)).astype(np.float32)
    blocks = np.split(whole, np.cumsum(lengths)[:-1]) if lengths else []
    expected = resample(whole, *rates)
    got = np.concatenate([np.zeros(0, np.float32), *resample_blocks(blocks, *rates)])
    assert len(got) == len(expected) == -(-len(whole) * rates[1] // rates[0])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_long_input_in_blocks_holds_little_at_a_time():
    rates = 44_100, 16_000
    blocks = (np.ones(10_000, np.float32) for _ in range(100))
    sizes = [len(block) for block in resample_blocks(blocks, *rates)]
    assert sum(sizes) == -(-1_000_000 * 16_000 // 44_100)
    assert max(sizes) < 4_000
