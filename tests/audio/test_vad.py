from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.audio import files
from kwsctl.audio.vad import speech_span

RATE_HZ = 16_000


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def burst(seconds: float, level: float = 0.2, seed: int = 1) -> np.ndarray:
    """Noise in the band of speech with four swells a second, as syllables have."""
    sections = scipy.signal.butter(2, [200, 3_000], "bandpass", fs=RATE_HZ, output="sos")
    carrier = scipy.signal.sosfilt(sections, noise(seconds, 1.0, seed))
    swell = 1 - 0.6 * np.cos(2 * np.pi * 4 * np.arange(len(carrier)) / RATE_HZ)
    carrier = carrier * swell
    return level * carrier / np.sqrt(np.square(carrier).mean())


def clip_with(*bursts: tuple[float, np.ndarray], seconds: float = 3.0, floor: float = 0.001) -> np.ndarray:
    samples = noise(seconds, floor)
    for begin_s, sound in bursts:
        begin = round(begin_s * RATE_HZ)
        samples[begin : begin + len(sound)] += sound
    return samples.astype(np.float32)


def span_s(samples: np.ndarray) -> tuple[float, float]:
    begin, end = speech_span(samples, RATE_HZ)
    return begin / RATE_HZ, end / RATE_HZ


@pytest.mark.parametrize("snr_db", [40, 20, 10, 5])
@pytest.mark.parametrize("begin_s", [0.2, 1.1, 2.0])
def test_a_burst_in_noise_is_found_at_every_level(snr_db: float, begin_s: float):
    samples = clip_with((begin_s, burst(0.7)), floor=0.2 * 10 ** (-snr_db / 20))
    begin, end = span_s(samples)
    assert begin == pytest.approx(begin_s, abs=0.12)
    assert end == pytest.approx(begin_s + 0.7, abs=0.12)


@pytest.mark.parametrize("gain", [0.001, 0.1, 1.0])
def test_the_level_of_the_recording_does_not_matter(gain: float):
    samples = clip_with((1.0, burst(0.7)), floor=0.01)
    assert speech_span(samples * np.float32(gain), RATE_HZ) == speech_span(samples, RATE_HZ)


@pytest.mark.parametrize("padding_s", [0.0, 0.5, 2.0])
def test_digital_silence_around_noisy_speech_does_not_hide_the_noise(padding_s: float):
    zeros = np.zeros(round(padding_s * RATE_HZ), np.float32)
    begin, end = span_s(np.concatenate([zeros, clip_with((1.0, burst(0.7)), floor=0.05), zeros]))
    assert begin - padding_s == pytest.approx(1.0, abs=0.12)
    assert end - padding_s == pytest.approx(1.7, abs=0.12)


def test_speech_in_digital_silence_is_found_whole():
    begin, end = span_s(clip_with((1.0, burst(0.7)), floor=0.0))
    assert begin == pytest.approx(0.95, abs=0.05)
    assert end == pytest.approx(1.75, abs=0.05)


def test_the_soft_end_of_a_word_in_digital_silence_is_kept():
    fading = noise(0.8, 0.3) * 10 ** (-np.linspace(0, 34, round(0.8 * RATE_HZ)) / 20)
    begin, end = span_s(clip_with((1.0, fading), floor=0.0))
    assert begin == pytest.approx(0.95, abs=0.05)
    assert end > 1.6


def test_a_short_pause_is_bridged_and_a_long_one_separates():
    near = span_s(clip_with((0.5, burst(0.4)), (1.1, burst(0.4, seed=2))))
    assert near == pytest.approx((0.45, 1.55), abs=0.1)
    louder_later = span_s(clip_with((0.3, burst(0.4, 0.1)), (1.6, burst(0.6, 0.2, seed=2))))
    assert louder_later == pytest.approx((1.55, 2.25), abs=0.1)
    louder_first = span_s(clip_with((0.3, burst(0.6, 0.2)), (1.8, burst(0.4, 0.1, seed=2))))
    assert louder_first == pytest.approx((0.25, 0.95), abs=0.1)


def test_a_click_is_not_speech():
    assert span_s(clip_with((0.4, burst(0.01, 0.9)), (1.5, burst(0.6)))) == pytest.approx(
        (1.45, 2.15), abs=0.1
    )


def test_hum_and_offset_below_speech_are_ignored():
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    hum = 0.3 + 0.05 * np.sin(2 * np.pi * 20 * time_s) * (time_s < 1)
    samples = clip_with((1.5, burst(0.6, 0.05))) + hum.astype(np.float32)
    assert span_s(samples) == pytest.approx((1.45, 2.15), abs=0.1)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(100, np.float32),
        np.zeros(16_000, np.float32),
        noise(2.0, 0.1).astype(np.float32),
        clip_with((1.0, burst(0.02, 0.5))),
    ],
    ids=["empty", "shorter than a frame", "silence", "noise alone", "a click alone"],
)
def test_the_whole_clip_is_given_where_nobody_speaks(samples: np.ndarray):
    assert speech_span(samples, RATE_HZ) == (0, len(samples))


@given(
    pieces=st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 1)), min_size=1, max_size=8),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100]),
)
@settings(deadline=None, max_examples=60)
def test_the_span_is_a_stretch_of_the_clip(pieces: list[tuple[int, float]], rate_hz: int):
    samples = np.concatenate([noise(1.0, level)[:length] for length, level in pieces]).astype(np.float32)
    begin, end = speech_span(samples, rate_hz)
    assert 0 <= begin < end <= len(samples)


def test_recorded_wake_words_last_as_long_as_words_do(real_data: Path):
    spans = []
    for path in sorted(real_data.glob("wake_words/*/*.ogg"))[::25]:
        samples = files.read(path)
        begin, end = speech_span(samples, RATE_HZ)
        spans.append((end - begin) / RATE_HZ)
        assert np.square(samples[begin:end]).sum() > 0.5 * np.square(samples).sum()
    assert len(spans) > 40
    assert 0.6 < np.median(spans) < 0.9
    assert np.percentile(spans, 5) > 0.4
    assert np.percentile(spans, 95) < 1.3
