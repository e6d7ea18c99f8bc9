"""What `kwsctl bench few-shot` found: single cases, and the table of outliers, others and everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kwsctl.evaluation import intervals
from kwsctl.seeding import numpy_generator

OUTLIER_SHARE = 0.2
UNCONSTRAINED = "full"


@dataclass(frozen=True)
class Case:
    """One keyword of one person, enrolled in one way.

    Attributes:
        speaker: the person.
        keyword: the word.
        method: adapter, or `global` before enrolment.
        shots: clips enrolled.
        detected: share of the test clips above the threshold that 1 % of the wrong words pass.
        impostors: share of other people's clips of the keyword above it.
        strangers: share of other people's other words above the threshold of the global model.
        tests: how many test clips.
        bytes: size of the change.
        training_bytes: of activations, gradients and optimizer, as the meter shows; 0 where only a row of the
            head is fitted.
        seconds: wall time of learning; of `auto`, with all that it tries and leaves out.
    """

    speaker: str
    keyword: str
    method: str
    shots: int
    detected: float
    impostors: float
    strangers: float
    tests: int
    bytes: int
    training_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Row:
    """One method and number of clips.

    Attributes:
        method: adapter, or `global`.
        shots: clips enrolled.
        outliers: detection rate of the outliers, with its interval over people.
        others: of all others.
        everybody: of everybody.
        worst: of the person heard worst.
        worst_change: largest loss of a person, in the detection rate; positive if everybody gained.
        impostors: share of other people's clips of the keyword that pass.
        strangers: share of other people's other words that pass.
        keywords: how many each person enrolled.
        tests: test clips.
        bytes: size of a change, mean.
        training_bytes: the most that an enrolment took for activations, gradients and optimizer.
        seconds: wall time of an enrolment, median.
        beside_full: detection rate less that of `full`, on the same keywords; None where that was not tried.
    """

    method: str
    shots: int
    outliers: tuple[float, float, float]
    others: tuple[float, float, float]
    everybody: tuple[float, float, float]
    worst: float
    worst_change: float
    impostors: float
    strangers: float
    keywords: int
    tests: int
    bytes: int
    training_bytes: int
    seconds: float
    beside_full: tuple[float, float, float] | None


@dataclass(frozen=True)
class FewShot:
    """What the bench prints.

    Attributes:
        rows: the table.
        outliers: who they are.
        people: how many.
        cases: one by one.
    """

    rows: tuple[Row, ...]
    outliers: tuple[str, ...]
    people: int
    cases: tuple[Case, ...]


def summary(cases: Sequence[Case]) -> FewShot:
    """Works out the table.

    Args:
        cases: one by one.

    Returns:
        One row for each method and number of clips; before enrolment, on the same keywords, as `global`.
    """
    names = sorted({case.speaker for case in cases})
    before = {n: _mean([c for c in cases if c.speaker == n and c.method == "global"]) for n in names}
    n_outliers = max(2, round(OUTLIER_SHARE * len(names)))  # of one person there is no interval
    outliers = tuple(sorted(sorted(names, key=lambda n: before[n])[:n_outliers]))
    kinds = list(dict.fromkeys((c.method, c.shots) for c in cases))
    rows = [_row([c for c in cases if (c.method, c.shots) == kind], cases, outliers) for kind in kinds]
    return FewShot(tuple(rows), outliers, len(names), tuple(cases))


def _row(chosen: Sequence[Case], cases: Sequence[Case], outliers: Sequence[str]) -> Row:
    first = chosen[0]
    keywords = {c.keyword for c in chosen}
    before = [c for c in cases if c.method == "global" and c.keyword in keywords]
    names = sorted({c.speaker for c in chosen})
    of = {n: _mean([c for c in chosen if c.speaker == n]) for n in names}
    was = {n: _mean([c for c in before if c.speaker == n]) for n in names}
    return Row(
        first.method,
        first.shots,
        _rate(chosen, [n for n in names if n in outliers]),
        _rate(chosen, [n for n in names if n not in outliers]),
        _rate(chosen, names),
        min(of.values()),
        min(of[n] - was[n] for n in names),
        float(np.mean([c.impostors for c in chosen])),
        float(np.mean([c.strangers for c in chosen])),
        len(keywords),
        sum(c.tests for c in chosen),
        round(np.mean([c.bytes for c in chosen])),
        max(c.training_bytes for c in chosen),
        float(np.median([c.seconds for c in chosen])),
        _beside(chosen, [c for c in cases if c.method == UNCONSTRAINED and c.shots == first.shots]),
    )


def _beside(chosen: Sequence[Case], full: Sequence[Case]) -> tuple[float, float, float] | None:
    """Mean difference to unconstrained tuning, with its interval over people."""
    best = {(c.speaker, c.keyword): c.detected for c in full}
    pairs = [(c, best[c.speaker, c.keyword]) for c in chosen if (c.speaker, c.keyword) in best]
    if not pairs or chosen[0].method == UNCONSTRAINED:
        return None
    differences = [c.detected - other for c, other in pairs]
    found = intervals.bootstrap(
        differences, [c.speaker for c, _ in pairs], numpy_generator(0, "few shot"), resamples=1000
    )
    return float(np.mean(differences)), found.low, found.high


def _mean(cases: Sequence[Case]) -> float:
    return float(np.mean([c.detected for c in cases]))


def _rate(cases: Sequence[Case], names: Sequence[str]) -> tuple[float, float, float]:
    """Mean detection rate of some people, with its interval over them."""
    chosen = [c for c in cases if c.speaker in names]
    values = [c.detected for c in chosen]
    found = intervals.bootstrap(
        values, [c.speaker for c in chosen], numpy_generator(0, "few shot"), resamples=1000
    )
    return float(np.mean(values)), found.low, found.high
