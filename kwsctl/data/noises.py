"""Made noises, for where no recorded ones are at hand: hum, fans, rain, clatter, streets, tunes, babble.

Pure functions of a generator. They resemble what they are called only roughly, and no figure on
them says much about a real room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000

Samples = NDArray[np.float32]


def coloured(generator: np.random.Generator, n_samples: int, *, slope_db: float) -> Samples:
    """Noise whose power falls by `slope_db` per octave: 0 is white, 3 pink, 6 brown.

    Args:
        generator: draws the noise.
        n_samples: S, at 16 kHz.
        slope_db: fall of the power spectrum, in dB per octave.

    Returns:
        [S] with peak 1.
    """
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    frequency_hz = np.maximum(np.fft.rfftfreq(n_samples, 1 / RATE_HZ), 20.0)
    return _peak_one(np.fft.irfft(spectrum * (frequency_hz / 20) ** (-slope_db / 6.02), n_samples))


def hum(generator: np.random.Generator, n_samples: int) -> Samples:
    """Mains hum with harmonics over a little hiss; arguments as `coloured`, without the slope."""
    mains_hz = float(generator.choice([50.0, 60.0]))
    tones = _harmonics(generator, n_samples, mains_hz, count=20, fall=1.2)
    return _peak_one(tones + 0.05 * coloured(generator, n_samples, slope_db=3))


def fan(generator: np.random.Generator, n_samples: int) -> Samples:
    """Air and a humming blade; arguments as `hum`."""
    blade_hz = generator.uniform(40, 180)
    air = coloured(generator, n_samples, slope_db=generator.uniform(3, 6))
    flutter = 1 + 0.15 * _sway(generator, n_samples, rate_hz=generator.uniform(0.5, 4))
    return _peak_one((air + 0.3 * _harmonics(generator, n_samples, blade_hz, count=6, fall=1.0)) * flutter)


def rain(generator: np.random.Generator, n_samples: int) -> Samples:
    """Hiss with thousands of drops; arguments as `hum`."""
    drops = np.where(generator.random(n_samples) < 0.01, generator.exponential(1.0, n_samples), 0.0)
    drops *= generator.choice([-1.0, 1.0], n_samples)
    return _peak_one(np.diff(drops, prepend=0.0) + 2 * coloured(generator, n_samples, slope_db=0))


def clicks(generator: np.random.Generator, n_samples: int) -> Samples:
    """Keys, dishes and knocks at irregular times; arguments as `hum`."""
    wave = 0.01 * coloured(generator, n_samples, slope_db=3)
    for start in generator.integers(0, n_samples, max(1, round(3 * n_samples / RATE_HZ))):
        time_s = np.arange(min(n_samples - start, RATE_HZ // 4)) / RATE_HZ
        ring = np.sin(2 * np.pi * generator.uniform(200, 5000) * time_s) + 0.5 * generator.standard_normal(
            len(time_s)
        )
        decay = np.exp(-time_s / generator.uniform(0.003, 0.05))
        wave[start : start + len(time_s)] += generator.exponential(0.4) * ring * decay
    return _peak_one(wave)


def street(generator: np.random.Generator, n_samples: int) -> Samples:
    """A rumble that swells when something passes; arguments as `hum`."""
    time_s = np.arange(n_samples) / RATE_HZ
    wave = (
        0.2
        * coloured(generator, n_samples, slope_db=6)
        * (1 + 0.5 * _sway(generator, n_samples, rate_hz=0.2))
    )
    for _ in range(max(1, round(n_samples / RATE_HZ / 5))):
        middle_s, width_s = generator.uniform(0, time_s[-1]), generator.uniform(0.5, 3)
        passing = np.exp(-(((time_s - middle_s) / width_s) ** 2))
        wave += (
            generator.uniform(0.2, 1)
            * passing
            * coloured(generator, n_samples, slope_db=generator.uniform(3, 6))
        )
    return _peak_one(wave)


def tune(generator: np.random.Generator, n_samples: int) -> Samples:
    """A wandering melody over chords on a plucked instrument; arguments as `hum`."""
    wave = np.zeros(n_samples, np.float32)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    root_hz, beat = generator.uniform(110, 330), round(generator.uniform(0.15, 0.4) * RATE_HZ)
    for start in range(0, n_samples, beat):
        time_s = np.arange(min(n_samples - start, 3 * beat)) / RATE_HZ
        for semitones in generator.choice(scale, size=generator.integers(1, 4)):
            note_hz = root_hz * 2 ** (semitones / 12)
            for harmonic in range(1, 6):
                tone = np.sin(2 * np.pi * note_hz * harmonic * time_s) * np.exp(-4 * harmonic * time_s)
                wave[start : start + len(time_s)] += (tone / harmonic).astype(np.float32)
    return _peak_one(wave)


def babble(generator: np.random.Generator, n_samples: int, talkers: Sequence[Samples]) -> Samples:
    """People talking all at once, each from a random place on, nearer or farther away.

    Args:
        generator: draws places and distances.
        n_samples: S, at 16 kHz.
        talkers: speech, [S_i] each, at least one.

    Returns:
        [S] with peak 1.
    """
    wave = np.zeros(n_samples)
    for talker in talkers:
        loops = np.tile(talker, -(-n_samples // len(talker)) + 1)
        start = generator.integers(0, len(talker))
        rms = float(np.sqrt(np.mean(np.square(talker, dtype=np.float64)))) or 1.0
        wave += generator.uniform(0.3, 1.0) * loops[start : start + n_samples] / rms
    return _peak_one(wave)


KINDS: dict[str, Callable[[np.random.Generator, int], Samples]] = {
    "pink": lambda generator, n: coloured(generator, n, slope_db=3),
    "fan": fan,
    "street": street,
    "clicks": clicks,
    "hum": hum,
    "tune": tune,
    "rain": rain,
    "brown": lambda generator, n: coloured(generator, n, slope_db=6),
}
"""Noises that need nothing but a generator."""


def _harmonics(
    generator: np.random.Generator, n_samples: int, tone_hz: float, *, count: int, fall: float
) -> Samples:
    time_s = np.arange(n_samples) / RATE_HZ
    phases = generator.uniform(0, 2 * np.pi, count)
    tones = (
        np.sin(2 * np.pi * tone_hz * k * time_s + phases[k - 1]) * generator.uniform(0.2, 1) / k**fall
        for k in range(1, count + 1)
    )
    return _peak_one(sum(tones, np.zeros(n_samples)))


def _sway(generator: np.random.Generator, n_samples: int, *, rate_hz: float) -> NDArray[np.float64]:
    """A slow sine between -1 and 1."""
    time_s = np.arange(n_samples) / RATE_HZ
    return np.asarray(np.sin(2 * np.pi * (rate_hz * time_s + generator.random())))


def _peak_one(wave: NDArray[np.floating]) -> Samples:
    return (wave / max(float(np.abs(wave).max(initial=0.0)), 1e-9)).astype(np.float32)
