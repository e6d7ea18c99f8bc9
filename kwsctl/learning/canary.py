"""What an update may cost on a canary, with torch and without: figures, tolerances, and the objection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RARER = 20.0
"""Calls to expect are told at false alarms that are so much rarer than the budget: where all calls are heard
at the budget, what an update does to them shows only there."""
RARER_TUNED = 5.0
"""The same where the trunk has learned a room: other words are the outermost then, and the few of them that
a canary holds say nothing so far out."""
FEWER = 0.8
"""Share of the false alarms that must be left for their fall to be a gain; where they are so much rarer than
the budget as `RARER` says, it is none."""
UNPAID = 1e-4
"""By how much calls to expect may fall where all that is gained are fewer false alarms, of few."""


@dataclass(frozen=True)
class Tolerances:
    """What an update may cost, and what it has to give.

    Attributes:
        calls: share of canary calls that may be lost, at equal false alarms.
        expected: of the rates of calls to expect, which change before a call is lost.
        false_alarms: share of the canary's other words above the budget.
        global_task: share of words of the global task that may be told wrong.
        drift: how far the embeddings of the stored negatives may have turned in all since enrolment,
            1 less the mean cosine.
        gain: by which calls to expect have to rise, unless more calls are heard or fewer other words pass.
    """

    calls: float = 0.0
    expected: float = 0.01
    false_alarms: float = 0.002
    global_task: float = 0.003
    drift: float = 0.1
    gain: float = 0.005


@dataclass(frozen=True)
class CanaryFigures:
    """What a model makes of the canary.

    Attributes:
        calls: share of calls above the threshold that the budget of false alarms asks for.
        heard: rate of calls to expect at the threshold that is in use.
        expected: the same at a threshold that fewer other words pass than the budget allows.
        false_alarms: share of other words above the threshold that is in use; by their tail, where it is
            smaller than they can show.
        global_task: share of words whose nearest neighbour, by somebody else, is the same word.
        drift: 1 less the mean cosine to the embeddings of the global model.
        height: how far up the threshold in use is, see `height_of`.
    """

    calls: float
    heard: float
    expected: float
    false_alarms: float
    global_task: float
    drift: float
    height: float


def height_of(threshold: float, calls: NDArray[np.float64], fair: float) -> float:
    """Tells how far up a threshold is on the way from where the budget is kept to the usual call.

    It tells what false alarms become where a canary holds too few words to show any.

    Args:
        threshold: a margin.
        calls: [P] margins of calls.
        fair: margin that as many other words pass as the budget allows.

    Returns:
        0 at the margin that keeps to the budget, and 1 at the middle of the calls or where that is lower.
    """
    way = float(np.median(calls)) - fair
    return (threshold - fair) / way if way > 0 else 1.0


def objection(
    before: CanaryFigures,
    after: CanaryFigures,
    budget: float,
    tolerances: Tolerances,
    first: CanaryFigures,
    *,
    learned: bool = True,
) -> str:
    """Says why an update must not be.

    Args:
        before: the model in use.
        after: the model proposed.
        budget: share of other words that may be taken for the keyword.
        tolerances: what it may cost.
        first: the model as it was enrolled, so that many small losses do not add up.
        learned: whether the model changes, and not only its threshold.

    Returns:
        The reason; empty if it may be.
    """
    lost = before.calls - after.calls
    muted = before.heard - after.heard
    within = before.false_alarms <= budget + tolerances.false_alarms
    less = max(before.expected, first.expected) - after.expected
    forgotten = first.global_task - after.global_task
    if lost > tolerances.calls + 1e-9:
        return f"calls heard fall by {lost:.1%}"
    # A threshold that lets too much pass may rise, and calls are lost by that; one within the budget may not.
    if within and muted > tolerances.expected:
        return f"calls to expect at the threshold in use fall by {muted:.1%}"
    if less > tolerances.expected:
        return f"calls to expect fall by {less:.1%}"
    if after.false_alarms > max(before.false_alarms, budget) + tolerances.false_alarms:
        return f"other words taken for the keyword rise to {after.false_alarms:.2%}"
    if forgotten > tolerances.global_task:
        return f"words of the global task told right fall by {forgotten:.1%}"
    if after.drift > tolerances.drift:
        return f"the embeddings have turned by {after.drift:.3f} in all"
    gained = max(-muted, after.expected - before.expected) >= tolerances.gain
    fewer = after.false_alarms < FEWER * before.false_alarms and before.false_alarms > budget / RARER
    # Where few enough pass already, a call is too much to pay for fewer.
    is_paid = within and muted > UNPAID
    # Where nearly every call is to be expected anyway, no gain can show.
    is_full = after.expected >= 1 - tolerances.gain and muted <= UNPAID
    if learned and is_full and after.height >= before.height:
        return ""
    if not gained and (is_paid or not fewer):
        return "nothing is gained by it"
    return ""
