"""Sums simulated lives up: precision and yield of the labels, gains, losses and what was rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kwsctl.bench.continual import Case
from kwsctl.seeding import numpy_generator

RESAMPLES = 1000


@dataclass(frozen=True)
class Labels:
    """How good the pseudo-labels of a scenario are.

    Attributes:
        scenario: which.
        precision: share of pseudo-positives that are the person's calls.
        positives: how many there are.
        yielded: share of the person's calls in the stream that became pseudo-positives.
        calls: how many there were.
        negative_precision: share of pseudo-negatives that are not the person's calls.
        negatives: how many there are.
    """

    scenario: str
    precision: float
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
        worst: largest loss of a person, in points.
        own_recall: recall at the model's own threshold.
        own_worst: largest loss of a person there, in points.
        own_false_alarms: false alarms an hour there.
        own_words: share of the person's other words that fire at half a false alarm an hour.
        impostors: share of others who say the keyword that fire there.
        forgotten: fall of the share of stored words told right, in points.
        rolled_back: in how many cases the guard refused.
        bytes: of the change, mean.
        macs: of an update, the guard left out, mean.
        people: how many.
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


@dataclass(frozen=True)
class Continual:
    """What `kwsctl bench continual` prints.

    Attributes:
        labels: per scenario.
        rows: per scenario and method.
        cases: one by one.
    """

    labels: tuple[Labels, ...]
    rows: tuple[Row, ...]
    cases: tuple[Case, ...]


def summary(cases: Sequence[Case]) -> Continual:
    """Sums cases up.

    Args:
        cases: of one or more scenarios.

    Returns:
        The tables.
    """
    scenarios = list(dict.fromkeys(case.scenario for case in cases))
    labels, rows = [], []
    for scenario in scenarios:
        own = [case for case in cases if case.scenario == scenario]
        labels.append(_labels(scenario, own))
        shared = [m for m in own[0].methods if all(m in case.methods for case in own)]
        rows += [_row(scenario, method, own) for method in shared]
    return Continual(tuple(labels), tuple(rows), tuple(cases))


def _labels(scenario: str, cases: Sequence[Case]) -> Labels:
    def count(decision: str, only_calls: bool) -> int:
        return sum(
            n
            for case in cases
            for name, n in case.labels.items()
            if name.startswith(f"{decision}/") and (not only_calls or name.endswith("/keyword"))
        )

    positives, right = count("positive", False), count("positive", True)
    negatives, missed = count("negative", False), count("negative", True)
    calls = sum(case.calls for case in cases)
    return Labels(
        scenario,
        right / positives if positives else float("nan"),
        positives,
        right / calls if calls else 0.0,
        calls,
        1 - missed / negatives if negatives else 1.0,
        negatives,
    )


def _row(scenario: str, method: str, cases: Sequence[Case]) -> Row:
    def of(name: str, which: str = method) -> np.ndarray:
        return np.array([float(case.methods[which].get(name, 0.0)) for case in cases])

    recall, before = of("recall"), of("recall", "none")
    oracles = [m for m in cases[0].methods if m.startswith("oracle-")]
    best = max((float((of("recall", m) - before).mean()) for m in oracles), default=0.0)
    gain = recall - before
    return Row(
        scenario=scenario,
        method=method,
        recall=_interval(recall),
        gain=_interval(100 * gain),
        oracle_share=float(gain.mean()) / best if best > 0 else None,
        worst=float(100 * gain.min()),
        own_recall=float(of("own_recall").mean()),
        own_worst=float(100 * (of("own_recall") - of("own_recall", "none")).min()),
        own_false_alarms=float(of("own_false_alarms").mean()),
        own_words=float(of("own_words").mean()),
        impostors=float(of("impostors").mean()),
        forgotten=float(100 * of("forgotten").mean()),
        rolled_back=sum(_refused(case.methods[method].get("rolled_back", 0)) for case in cases),
        bytes=round(float(of("bytes").mean())),
        macs=round(float(of("macs").mean())),
        people=len(cases),
    )


def _refused(value: str | int) -> int:
    return value if isinstance(value, int) else int(bool(value))


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """Gives the mean over people with its 95 % bootstrap interval."""
    draw = numpy_generator(0, "continual")
    means = values[draw.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
