"""Scores along continuous audio, and how they are to become events."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.types import RESERVED_LABELS

HOP_S = 0.1
"""From window to window in streams, and in clips longer than the network's window, in s."""


@dataclass(frozen=True)
class ScoreStream:
    """Scores along a stretch of continuous audio.

    Attributes:
        labels: L names, in the order of the columns.
        values: [W, L] probabilities per window.
        times_s: [W] end of each window, in s from the beginning of the audio.
        hop_s: from window to window, in s.
        seconds: length of the audio, in s.
    """

    labels: tuple[str, ...]
    values: NDArray[np.float32] = field(repr=False)
    times_s: NDArray[np.float64] = field(repr=False)
    hop_s: float
    seconds: float

    @property
    def keywords(self) -> tuple[str, ...]:
        """K labels that can fire: all but the reserved ones."""
        return tuple(label for label in self.labels if label not in RESERVED_LABELS)

    @property
    def keyword_values(self) -> NDArray[np.float32]:
        """[W, K] columns of the labels that can fire."""
        return self.values[:, [label not in RESERVED_LABELS for label in self.labels]]


@dataclass(frozen=True)
class Trigger:
    """How smoothed scores become events, apart from the threshold.

    Attributes:
        smoothing_s: span of the moving average, in s; rounded to windows, at least one.
        refractory_s: after an event nothing fires for so long, in s.
    """

    smoothing_s: float = 0.3
    refractory_s: float = 2.0

    def __post_init__(self) -> None:
        if not (self.smoothing_s >= 0 and self.refractory_s >= 0):
            raise InputError(
                f"A smoothing of {self.smoothing_s:g} s and a refractory time of {self.refractory_s:g} s: "
                "one is negative.",
                "Give 0 or more seconds.",
            )

    def windows(self, hop_s: float) -> int:
        """Turns the span of the average into windows.

        Args:
            hop_s: from window to window, in s.

        Returns:
            Windows, at least one.
        """
        return max(1, round(self.smoothing_s / hop_s))
