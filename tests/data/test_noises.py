from __future__ import annotations

import numpy as np
import pytest

from kwsctl.data import noises
from kwsctl.seeding import numpy_generator

N = 2 * noises.RATE_HZ


@pytest.mark.parametrize("kind", noises.KINDS)
def test_noises_are_repeatable_and_in_range(kind: str) -> None:
    wave = noises.KINDS[kind](numpy_generator(3, kind), N)
    assert wave.dtype == np.float32
    assert wave.shape == (N,)
    assert np.abs(wave).max() == pytest.approx(1.0)
    assert np.array_equal(wave, noises.KINDS[kind](numpy_generator(3, kind), N))
    assert not np.array_equal(wave, noises.KINDS[kind](numpy_generator(4, kind), N))


@pytest.mark.parametrize("slope_db", [0.0, 3.0, 6.0])
def test_colour_is_the_fall_per_octave(slope_db: float) -> None:
    wave = noises.coloured(numpy_generator(0, "colour"), 16 * noises.RATE_HZ, slope_db=slope_db)
    power = np.abs(np.fft.rfft(wave)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / noises.RATE_HZ)
    octaves_db = [10 * np.log10(power[(hz >= f) & (hz < 2 * f)].mean()) for f in (250, 500, 1000, 2000)]
    assert np.diff(octaves_db).mean() == pytest.approx(-slope_db, abs=0.3)


def test_babble_holds_every_talker() -> None:
    time_s = np.arange(N) / noises.RATE_HZ
    talkers = [np.sin(2 * np.pi * hz * time_s).astype(np.float32) for hz in (300, 700, 1900)]
    wave = noises.babble(numpy_generator(0, "babble"), 3 * N, talkers)
    spectrum = np.abs(np.fft.rfft(wave))
    hz = np.fft.rfftfreq(len(wave), 1 / noises.RATE_HZ)
    for tone_hz in (300, 700, 1900):
        assert spectrum[np.abs(hz - tone_hz) < 2].max() > 100 * np.median(spectrum)
