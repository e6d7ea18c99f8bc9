"""Scores of clips that are to be told apart, and the rates that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation import metrics
from kwsctl.seeding import numpy_generator

FAR = 0.01
RESAMPLES = 100  # of people


@dataclass(frozen=True, eq=False)
class Trials:
    """Scores of one enrolment.

    Attributes:
        speaker: who enrolled.
        scores: by group of clips, higher where they are more likely the word.
    """

    speaker: str
    scores: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Figures:
    """How well trials are told apart.

    Attributes:
        eer: equal error rate.
        eer_low: lower end of its 95 % interval over people.
        eer_high: its upper end.
        found: share of the person's own calls found where 1 % of the others pass.
        found_low: lower end of its 95 % interval over people.
        found_high: its upper end.
        targets: own calls.
        non_targets: other trials.
    """

    eer: float
    eer_low: float
    eer_high: float
    found: float
    found_low: float
    found_high: float
    targets: int
    non_targets: int


def figures(trials: Sequence[Trials], targets: str, others: str) -> Figures:
    """Pools all trials under one threshold.

    Args:
        trials: of all enrolments.
        targets: group of clips that are to be found.
        others: group of clips that are not.

    Returns:
        Rates, with intervals over people.
    """
    names = sorted({trial.speaker for trial in trials})
    of = {name: [t.scores for t in trials if t.speaker == name] for name in names}

    def both(chosen: Sequence[str]) -> tuple[float, float]:
        own = np.concatenate([scores[targets] for name in chosen for scores in of[name]])
        other = np.concatenate([scores[others] for name in chosen for scores in of[name]])
        return metrics.eer(own, other).rate, metrics.detection_rate_at_far(own, other, FAR).detection_rate

    eer, found = both(names)
    draw = numpy_generator(0, "new words", targets, others)
    drawn = np.array(
        [both([names[i] for i in draw.integers(len(names), size=len(names))]) for _ in range(RESAMPLES)]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Figures(
        eer,
        float(low[0]),
        float(high[0]),
        found,
        float(low[1]),
        float(high[1]),
        sum(len(trial.scores[targets]) for trial in trials),
        sum(len(trial.scores[others]) for trial in trials),
    )
