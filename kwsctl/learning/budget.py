"""Chooses a threshold for a budget of false alarms, also one that is rarer than the negatives can show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WORDS_PER_HOUR = 9_000  # of running speech without a pause, 150 a minute
TAIL_SHARE = 0.1
EASE = 7.0  # a rearranged word is met that much more rarely than other words are
KNOWN_EASE = 50.0  # what a network was trained to hear, it tells from what else a person says
ENOUGH_ABOVE = 5  # negatives above a threshold that make their share a measurement


def far_of(fa_per_hour: float) -> float:
    """Turns false alarms in an hour of running speech into a share of words.

    Args:
        fa_per_hour: budget.

    Returns:
        Share of words that may be taken for the keyword.
    """
    return fa_per_hour / WORDS_PER_HOUR


def threshold_for(margins: Floats, far: float) -> float:
    """Finds the margin that a share of the negatives passes.

    Where the negatives are too few to show so small a share, their upper tenth is continued as an exponential
    tail (peaks over a threshold, Pickands 1975).

    Args:
        margins: [N] of negatives, at least 20.
        far: the share.

    Returns:
        The margin.
    """
    if far * len(margins) >= ENOUGH_ABOVE:
        return float(np.quantile(margins, 1 - far))
    start, excess = _tail(margins)
    return start + excess * float(np.log(TAIL_SHARE / far))


def limit_of_rearranged(margins: Floats, budget: float, *, is_known: bool) -> float:
    """Finds the margin that rearranged clips of the person ask for.

    Args:
        margins: [R] of rearranged clips.
        budget: share of other words that may be taken for the keyword.
        is_known: whether the network was trained to hear the keyword, not taught by a few clips.

    Returns:
        The margin; minus infinity where all of them may pass.
    """
    allowed = share_of_rearranged(budget, is_known=is_known)
    return threshold_for(margins, allowed) if allowed < 1 else -np.inf


def share_of_rearranged(budget: float, *, is_known: bool) -> float:
    """Gives the share of rearranged clips of the person that may be taken for the keyword.

    They are more like the keyword than most of what the person says, so more of them may pass.

    Args:
        budget: share of other words that may.
        is_known: whether the network was trained to hear the keyword, not taught by a few clips.

    Returns:
        The share; 1 where all of them may.
    """
    return min(1.0, (KNOWN_EASE if is_known else EASE) * budget)


def share_above(margins: Floats, threshold: float) -> float:
    """Gives the share of negatives above a margin, by the same tail.

    Args:
        margins: [N] of negatives.
        threshold: a margin.

    Returns:
        The share.
    """
    n_above = int((margins >= threshold).sum())
    if n_above >= ENOUGH_ABOVE:
        return n_above / len(margins)
    start, excess = _tail(margins)
    return TAIL_SHARE * float(np.exp(-max(0.0, threshold - start) / excess)) if excess > 0 else 0.0


def _tail(margins: Floats) -> tuple[float, float]:
    """Gives where the upper tenth begins, and by how much it lies above that on average."""
    start = float(np.quantile(margins, 1 - TAIL_SHARE))
    return start, float(np.maximum(margins - start, 0.0).sum() / max(1, (margins > start).sum()))
