"""Log-mel energies of audio that arrives piece by piece, the same numbers as of the whole clip."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.features.logmel import logmel
from kwsctl.types import FeatureSpec


class StreamingLogMel:
    """Gives each frame as soon as its last sample has arrived; keeps less than one window of audio.

    Args:
        spec: window, hop and mel bands.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes the next samples.

        Args:
            samples: [S] in [-1, 1], of any length, at `spec.sample_rate_hz`.

        Returns:
            [F, T] frames that these samples completed; T may be 0. End to end they equal `logmel`
            of the whole to 1e-5.

        Raises:
            InputError: samples that are not floating point, or of more than one channel.
        """
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise InputError(
                f"Streaming needs floating-point samples of shape [S], not {samples.dtype} {samples.shape}.",
                "Divide int16 samples by 32768.",
            )
        self._pending = np.concatenate([self._pending, samples])
        features = logmel(torch.from_numpy(self._pending)[None], self._spec)[0]
        self._pending = self._pending[features.shape[1] * self._spec.hop_samples :]
        frames: NDArray[np.float32] = features.numpy()
        return frames

    def reset(self) -> None:
        """Forgets the samples of an unfinished frame, so that a new recording can begin."""
        self._pending = np.zeros(0, np.float32)
