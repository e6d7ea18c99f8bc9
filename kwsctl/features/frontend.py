"""The mel power of `logmel`, by numpy alone, so that a package can be listened to without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kwsctl.types import FeatureSpec

Floats = NDArray[np.float32]
MEL_SCALE, MEL_CORNER_HZ = 2595.0, 700.0


class FrontEnd:
    """Maps samples to mel power.

    Args:
        spec: window, hop and mel bands.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._size, self._hop = spec.window_samples, spec.hop_samples
        turns = 2 * np.pi * np.arange(self._size) / self._size
        self._window = (0.5 - 0.5 * np.cos(turns)).astype(np.float32)  # periodic Hann
        # Each band twice, for real and imaginary parts, whose squares lie side by side.
        self._bands = np.repeat(mel_filters(spec), 2, axis=0)

    def power(self, samples: Floats) -> Floats:
        """Maps samples [S] in [-1, 1] to mel power [F, t], see `logmel.mel_power`.

        Args:
            samples: at the rate of the features.

        Returns:
            t frames, none for less than a window.
        """
        if len(samples) < self._size:
            return np.zeros((self._bands.shape[1], 0), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self._size)[:: self._hop]
        spectrum = np.fft.rfft((frames * self._window).astype(np.float64))  # double: see `logmel._band_power`
        squares = np.square(spectrum.view(np.float64)).astype(np.float32)
        return np.ascontiguousarray((squares @ self._bands).T)


def mel_filters(spec: FeatureSpec) -> Floats:
    """Makes triangular filters on the HTK mel scale, not normalized, as `torchaudio` does.

    Args:
        spec: window and mel bands.

    Returns:
        [window // 2 + 1, F].
    """
    bins_hz = np.linspace(0, spec.sample_rate_hz // 2, spec.window_samples // 2 + 1)
    lowest, highest = (MEL_SCALE * np.log10(1 + f / MEL_CORNER_HZ) for f in (spec.f_min_hz, spec.f_max_hz))
    edges_hz = MEL_CORNER_HZ * (10 ** (np.linspace(lowest, highest, spec.mel_bins + 2) / MEL_SCALE) - 1)
    apart = np.diff(edges_hz)
    slopes = edges_hz[None] - bins_hz[:, None]
    falling, rising = -slopes[:, :-2] / apart[:-1], slopes[:, 2:] / apart[1:]
    return np.maximum(0, np.minimum(falling, rising)).astype(np.float32)
