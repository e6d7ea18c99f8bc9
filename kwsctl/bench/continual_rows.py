"""Lines of the tables of `kwsctl bench continual`."""

from __future__ import annotations

from dataclasses import dataclass

LOST = 1.0
"""Points that a person may lose before it counts as a loss."""


@dataclass(frozen=True)
class Labels:
    """How good the pseudo-labels of a scenario are.

    Attributes:
        scenario: which.
        precision: share of pseudo-positives that are the person's calls.
        any_voice: share of pseudo-positives that are the keyword, whoever says it.
        positives: how many there are.
        yielded: share of the person's calls in the stream that became pseudo-positives.
        calls: how many there were.
        negative_precision: share of pseudo-negatives that are not the person's calls.
        negatives: how many there are.
    """

    scenario: str
    precision: float
    any_voice: float
    positives: int
    yielded: float
    calls: int
    negative_precision: float
    negatives: int


@dataclass(frozen=True)
class Row:
    """One method in one scenario.

    Attributes:
        scenario: which.
        method: see `kwsctl.bench.life_methods.outcome`; `loop` is what `kwsctl adapt` does, update by update.
        recall: share of calls heard at half a false alarm an hour, with its 95 % interval over people.
        gain: points of recall over `none`, with its interval.
        oracle_share: share of the gain of the same method with true labels, or of the best oracle.
        worst: largest loss of a life, in points.
        own_recall: recall at the model's own threshold.
        own_worst: largest loss of a life there, in points.
        own_false_alarms: false alarms an hour there.
        own_words: share of the person's other words that fire at half a false alarm an hour.
        impostors: share of others who say the keyword that fire there.
        forgotten: fall of the share of stored words told right, in points.
        rolled_back: in how many cases the guard refused.
        bytes: of the change, mean.
        macs: of an update, the guard left out, mean.
        people: how many.
        lives: of these people, more than people where each has several draws.
        losers: lives that lose more than a point, at half a false alarm an hour or at their own threshold.
    """

    scenario: str
    method: str
    recall: tuple[float, float, float]
    gain: tuple[float, float, float]
    oracle_share: float | None
    worst: float
    own_recall: float
    own_worst: float
    own_false_alarms: float
    own_words: float
    impostors: float
    forgotten: float
    rolled_back: int
    bytes: int
    macs: int
    people: int
    lives: int
    losers: int
