"""Changes clips as rooms, noise, distance and tempo do: pure functions on float32 samples [S].

Nothing here clips or rescales to full scale: a mixture may pass 1.0, and whoever writes it as
integers decides what to do about that.
"""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from kwsctl.audio.resampling import resample
from kwsctl.errors import InputError

_SPEED_STEPS = 400  # speeds are multiples of 1/400, so that the resampling filter stays short


def mix_at_snr(
    speech: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Adds a random stretch of noise; the speech keeps its level.

    Both powers are means over the samples that are not zero: silence around a padded clip, or gaps in
    a noise, do not change what the ratio means while both sound.

    Args:
        speech: [S].
        noise: any length; it is repeated if it is shorter than the speech.
        snr_db: power of speech over power of noise, in dB.
        generator: draws where in the noise the stretch begins.

    Returns:
        [S] mixture; the speech alone where the stretch drawn happens to be all zero.

    Raises:
        InputError: speech or noise is empty or all zero.
    """
    if not speech.any() or not noise.any():
        silent = "noise" if speech.any() else "speech"
        raise InputError(f"The {silent} is silent: it has no signal-to-noise ratio.", "Leave the clip out.")
    begin = int(generator.integers(max(1, len(noise) - len(speech) + 1)))
    if len(noise) < len(speech):
        begin = int(generator.integers(len(noise)))
    stretch = np.take(noise, range(begin, begin + len(speech)), mode="wrap")
    if not stretch.any():
        return speech.copy()
    scale = np.sqrt(_active_power(speech) / _active_power(stretch)) * 10 ** (-snr_db / 20)
    return speech + stretch * np.float32(scale)


def shift(samples: NDArray[np.float32], by_samples: int) -> NDArray[np.float32]:
    """Moves a clip in time, filling with zeros; its length stays.

    Args:
        samples: [S].
        by_samples: positive for later, negative for earlier.

    Returns:
        [S]; what passes an end is lost.
    """
    moved = np.zeros_like(samples)
    if abs(by_samples) < len(samples):
        kept = len(samples) - abs(by_samples)
        moved[max(0, by_samples) :][:kept] = samples[max(0, -by_samples) :][:kept]
    return moved


def gain(samples: NDArray[np.float32], db: float) -> NDArray[np.float32]:
    """Makes a clip louder (positive `db`) or softer.

    Args:
        samples: [S].
        db: amplitude ratio, in dB.

    Returns:
        [S], not clipped.
    """
    return samples * np.float32(10 ** (db / 20))


def change_speed(samples: NDArray[np.float32], factor: float, rate_hz: int) -> NDArray[np.float32]:
    """Plays a clip faster or slower, pitch and all, by resampling (Ko et al. 2015, Interspeech).

    Args:
        samples: [S] at `rate_hz`.
        factor: 1.1 is 10 % faster; rounded to 1/400.
        rate_hz: sample rate of both clips, in Hz.

    Returns:
        [ceil(S / factor)] at `rate_hz`.

    Raises:
        InputError: a factor outside 0.25-4.
    """
    if not 0.25 <= factor <= 4:
        raise InputError(f"A speed of {factor:g} cannot be made.", "Use 0.25-4.")
    step_hz = max(1, rate_hz // _SPEED_STEPS)
    return resample(samples, round(rate_hz * factor / step_hz) * step_hz, rate_hz)


def apply_room(samples: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Plays a clip in a room, its direct sound where it was.

    Args:
        samples: [S].
        response: [R] impulse response at the same rate that begins with its direct path, see `rooms`.

    Returns:
        [S]; reverberation beyond the end is lost.

    Raises:
        InputError: an empty or silent response.
    """
    if not response.any():
        raise InputError("The room response is silent or empty.", "Leave it out.")
    if not len(samples):
        return samples
    wet: NDArray[np.float32] = scipy.signal.oaconvolve(samples, response)[: len(samples)]
    return wet.astype(np.float32, copy=False)


def _active_power(samples: NDArray[np.float32]) -> float:
    """Gives the mean square of the samples that are not zero."""
    return float(np.square(samples, dtype=np.float64).sum() / np.count_nonzero(samples))
