"""What runs a network over a stream: torch here, exported graphs in `kwsctl/export/listening.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kwsctl.types import FeatureSpec

Floats = NDArray[np.float32]


class Engine(Protocol):
    """A network and its front end, with the state of one stream.

    Attributes:
        features: how audio becomes features.
        labels: L names in the order of the outputs.
        thresholds: per keyword, the score from which it counts as detected.
        n_frames: T, the feature frames that a window holds.
        stride: feature frames from window to window.
        delay_frames: feature frames that a window waits for beyond its last one.
        step_frames: `run` takes a multiple of so many frames.
    """

    features: FeatureSpec
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    n_frames: int
    stride: int
    delay_frames: int
    step_frames: int

    @property
    def sha256(self) -> str:
        """Identity of the model."""
        ...

    def power(self, samples: Floats) -> Floats:
        """Maps samples [S] in [-1, 1] to mel power [F, t]."""
        ...

    def reset(self) -> None:
        """Begins a new stream."""
        ...

    def run(self, features: Floats) -> Floats:
        """Maps the next log-mel frames [F, t] to what the head is given of the windows that ended, [W, E].

        The first window begins with the first frame after `reset`.
        """
        ...

    def logits(self, pooled: Floats) -> Floats:
        """Maps what `run` gave, [W, E], to logits [W, L]."""
        ...

    def scores(self, logits: Floats) -> Floats:
        """Maps logits [W, L] to scores [W, L] in [0, 1]."""
        ...

    def voice(self, features: Floats) -> Floats:
        """Maps the log-mel frames [F, T] of one window to the direction of the voice [S]."""
        ...
