from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.audio import mixing
from kwsctl.errors import InputError


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise_like(length: int, seed: int = 1, level: float = 0.1) -> np.ndarray:
    return (level * generator(seed).standard_normal(length)).astype(np.float32)


def padded_speech(before: int = 3_000, length: int = 8_000, after: int = 5_000) -> np.ndarray:
    return np.concatenate([np.zeros(before), noise_like(length, 2, 0.3), np.zeros(after)]).astype(np.float32)


def active_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.square(samples[samples != 0].astype(np.float64)).mean())


@given(
    snr_db=st.floats(-20, 40),
    noise_length=st.integers(100, 60_000),
    noise_db=st.floats(-60, 0),
    gap=st.integers(0, 90),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_the_ratio_of_active_powers_is_the_asked_one(
    snr_db: float, noise_length: int, noise_db: float, gap: int, seed: int
):
    speech = padded_speech()
    noise = noise_like(noise_length, level=10 ** (noise_db / 20))
    noise[:gap] = 0
    added = mixing.mix_at_snr(speech.astype(np.float64), noise, snr_db, generator(seed)) - speech
    assert active_db(speech) - active_db(added) == pytest.approx(snr_db, abs=0.01)


def test_silence_around_speech_does_not_change_the_noise():
    bare, noise = padded_speech(0, 8_000, 0), noise_like(8_000)
    added = mixing.mix_at_snr(bare, noise, 5.0, generator()) - bare
    padded = padded_speech(8_000, 8_000, 8_000)
    longer = mixing.mix_at_snr(padded, noise, 5.0, generator(3)) - padded
    assert active_db(longer) == pytest.approx(active_db(added), abs=0.01)


def test_speech_keeps_its_level_and_noise_is_repeated_to_its_length():
    speech, noise = padded_speech(), noise_like(1_000)
    mixed = mixing.mix_at_snr(speech, noise, 10.0, generator())
    added = mixed - speech
    assert mixed.shape == speech.shape
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(added[:1_000], added[1_000:2_000], atol=1e-6)
    np.testing.assert_array_equal(mixing.mix_at_snr(speech, noise, 10.0, generator()), mixed)
    assert not np.array_equal(mixing.mix_at_snr(speech, noise, 10.0, generator(1)), mixed)


def test_the_stretch_of_noise_is_drawn_from_all_of_it():
    speech, noise = np.ones(10, np.float32), np.arange(1, 31, dtype=np.float32)
    added = [mixing.mix_at_snr(speech, noise, 0.0, generator(seed)) - speech for seed in range(300)]
    begins = {round(float(a[0] / (a[1] - a[0]))) for a in added}
    assert begins == set(range(1, 22))


def test_a_silent_stretch_of_noise_adds_nothing():
    noise = np.concatenate([np.zeros(20_000), noise_like(10)]).astype(np.float32)
    speech = padded_speech(0, 8_000, 0)
    np.testing.assert_array_equal(mixing.mix_at_snr(speech, noise, 0.0, generator()), speech)


@pytest.mark.parametrize("empty", [np.zeros(100, np.float32), np.zeros(0, np.float32)])
def test_silence_has_no_ratio(empty: np.ndarray):
    with pytest.raises(InputError, match="The noise is silent"):
        mixing.mix_at_snr(padded_speech(), empty, 0.0, generator())
    with pytest.raises(InputError, match="The speech is silent"):
        mixing.mix_at_snr(empty, noise_like(100), 0.0, generator())


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (0, [1, 2, 3, 4]),
        (1, [0, 1, 2, 3]),
        (-1, [2, 3, 4, 0]),
        (3, [0, 0, 0, 1]),
        (-3, [4, 0, 0, 0]),
        (4, [0, 0, 0, 0]),
        (-9, [0, 0, 0, 0]),
    ],
)
def test_shift_moves_later_for_positive_and_fills_with_zeros(by: int, expected: list[int]):
    np.testing.assert_array_equal(mixing.shift(np.float32([1, 2, 3, 4]), by), np.float32(expected))


def test_gain_is_in_decibels_of_amplitude():
    np.testing.assert_allclose(mixing.gain(np.float32([0.1, -0.2]), 20.0), [1.0, -2.0], rtol=1e-6)
    assert mixing.gain(np.float32([0.1]), -6.0).dtype == np.float32


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.3])
def test_speed_scales_length_and_pitch_together(factor: float):
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32)
    changed = mixing.change_speed(tone, factor, 16_000)
    assert len(changed) == pytest.approx(16_000 / factor, rel=1 / 400)
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    assert spectrum.argmax() * 16_000 / len(changed) == pytest.approx(1_000 * factor, rel=1 / 400)
    assert changed.dtype == np.float32


@pytest.mark.parametrize("factor", [0.0, -1.0, 5.0, float("nan")])
def test_a_speed_that_cannot_be_made_is_refused(factor: float):
    with pytest.raises(InputError, match="A speed of"):
        mixing.change_speed(np.ones(100, np.float32), factor, 16_000)


def test_a_room_convolves_and_leaves_sound_in_its_place():
    samples, response = noise_like(3_000), noise_like(700, seed=5)
    wet = mixing.apply_room(samples, response)
    slow = [sum(response[k] * samples[n - k] for k in range(min(n + 1, 700))) for n in range(0, 3_000, 97)]
    np.testing.assert_allclose(wet[::97], slow, atol=1e-5)
    np.testing.assert_allclose(mixing.apply_room(samples, np.float32([1.0])), samples, atol=1e-6)
    assert wet.shape == samples.shape
    assert wet.dtype == np.float32


def test_a_silent_response_is_refused_and_an_empty_clip_stays_empty():
    with pytest.raises(InputError, match="response is silent"):
        mixing.apply_room(noise_like(10), np.zeros(10, np.float32))
    assert mixing.apply_room(np.zeros(0, np.float32), np.ones(3, np.float32)).shape == (0,)
