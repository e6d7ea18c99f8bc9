"""Tells whether anything stands out of the noise, so that the network need not run when nothing does.

It works on log-mel features. In every band the floor follows the median of a block down at once and up
slowly (after minimum statistics, Martin 2001, "Noise power spectral density estimation", section II). What
stands out is the rise above the floor, its root mean square over all bands, so that a voice in few bands
counts, too. It errs towards being open: babble keeps it open all the time, which costs work, not
detections.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RISE_PER_S = 0.5  # of the floor, natural logarithm of power: 2 dB a second
FALL_SHARE = 0.5  # of the way down to the median of a block
OPEN_ABOVE = 0.8  # root mean square of the rise, natural logarithm: 3.5 dB
SMOOTHING_FRAMES = 5


class Gate:
    """Follows one stream.

    Args:
        hop_s: from frame to frame, in s.
    """

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._floor: NDArray[np.float32] | None = None

    def push(self, features: NDArray[np.float32]) -> bool:
        """Takes the next frames.

        Args:
            features: [F, T] with T of at least one.

        Returns:
            Whether anything stands out in them; true for the first, of which nothing is known.
        """
        middle = _median(features)
        if self._floor is None:
            self._floor = middle
            return True
        smooth = _moving_mean(features, min(SMOOTHING_FRAMES, features.shape[1]))
        rises = np.maximum(smooth - self._floor[:, None], 0.0)
        rise = math.sqrt(float(np.einsum("ft,ft->t", rises, rises).max()) / len(rises))
        step = middle - self._floor
        most = RISE_PER_S * self._hop_s * features.shape[1]
        moved = np.where(step < 0, FALL_SHARE * step, np.minimum(step, most))
        self._floor = (self._floor + moved).astype(np.float32)
        return rise > OPEN_ABOVE


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gives the median [F] of [F, T]; numpy's own takes three times as long on a few frames."""
    ordered, count = np.sort(values, axis=1), values.shape[1]
    return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / np.float32(2)


def _moving_mean(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Averages [F, T] over `length` frames and gives [F, T - length + 1]."""
    count = values.shape[1] - length + 1
    total = values[:, :count].copy()
    for later in range(1, length):
        total += values[:, later : later + count]
    return total / np.float32(length)
