"""Learning rates over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def warmup_cosine(peak: float, warmup_steps: int, total_steps: int) -> Schedule:
    """Rises linearly, then falls along half a cosine to zero (Loshchilov & Hutter 2017, eq. 5).

    Args:
        peak: the highest learning rate.
        warmup_steps: steps until the peak.
        total_steps: steps of the whole run.

    Returns:
        The learning rate at each step, counted from 0.
    """

    def rate(step: int) -> float:
        if step < warmup_steps:
            return peak * (step + 1) / warmup_steps
        done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return rate


def constant(rate: float) -> Schedule:
    """Gives the same learning rate at every step."""
    return lambda _step: rate
