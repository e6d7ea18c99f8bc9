"""Sums simulated lives up: precision and yield of the labels, gains, losses and what was rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kwsctl.bench.continual import Case
from kwsctl.bench.continual_promises import promises
from kwsctl.bench.continual_rows import LOST, Labels, Row
from kwsctl.bench.promise import Promise
from kwsctl.seeding import numpy_generator

RESAMPLES = 1000


@dataclass(frozen=True)
class Continual:
    """What `kwsctl bench continual` prints.

    Attributes:
        labels: per scenario.
        rows: per scenario and method.
        cases: one by one.
        promises: what had to hold, and whether it did.
    """

    labels: tuple[Labels, ...]
    rows: tuple[Row, ...]
    cases: tuple[Case, ...]
    promises: tuple[Promise, ...]


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
    return Continual(tuple(labels), tuple(rows), tuple(cases), promises(labels, rows))


def _labels(scenario: str, cases: Sequence[Case]) -> Labels:
    def count(decision: str, kinds: tuple[str, ...] = ("",)) -> int:
        wanted = tuple(f"/{kind}" if kind else "" for kind in kinds)
        return sum(
            n
            for case in cases
            for name, n in case.labels.items()
            if name.startswith(f"{decision}/") and name.endswith(wanted)
        )

    positives, right = count("positive"), count("positive", ("keyword",))
    said = count("positive", ("keyword", "impostor"))
    negatives, missed = count("negative"), count("negative", ("keyword",))
    calls = sum(case.calls for case in cases)
    return Labels(
        scenario,
        precision=right / positives if positives else float("nan"),
        any_voice=said / positives if positives else float("nan"),
        positives=positives,
        yielded=right / calls if calls else 0.0,
        calls=calls,
        negative_precision=1 - missed / negatives if negatives else 1.0,
        negatives=negatives,
    )


def _row(scenario: str, method: str, cases: Sequence[Case]) -> Row:
    def of(name: str, which: str = method) -> np.ndarray:
        return np.array([float(case.methods[which].get(name, 0.0)) for case in cases])

    recall, before = of("recall"), of("recall", "none")
    oracles = [m for m in cases[0].methods if m.startswith("oracle-")]
    best = max((float((of("recall", m) - before).mean()) for m in oracles), default=0.0)
    gain = recall - before
    own_gain = of("own_recall") - of("own_recall", "none")
    people = [case.speaker for case in cases]
    return Row(
        scenario=scenario,
        method=method,
        recall=_interval(recall, people),
        gain=_interval(100 * gain, people),
        oracle_share=float(gain.mean()) / best if best > 0 else None,
        worst=float(100 * gain.min()),
        own_recall=float(of("own_recall").mean()),
        own_worst=float(100 * own_gain.min()),
        own_false_alarms=float(of("own_false_alarms").mean()),
        own_words=float(of("own_words").mean()),
        impostors=float(of("impostors").mean()),
        forgotten=float(100 * of("forgotten").mean()),
        rolled_back=sum(_refused(case.methods[method].get("rolled_back", 0)) for case in cases),
        bytes=round(float(of("bytes").mean())),
        macs=round(float(of("macs").mean())),
        people=len(set(people)),
        lives=len(cases),
        losers=int(np.count_nonzero(100 * np.minimum(gain, own_gain) < -LOST)),
    )


def _refused(value: str | int) -> int:
    return value if isinstance(value, int) else int(bool(value))


def _interval(values: np.ndarray, people: Sequence[str]) -> tuple[float, float, float]:
    """Gives the mean with its 95 % bootstrap interval over people, each with all their lives."""
    names = list(dict.fromkeys(people))
    lives = np.array([[name == one for one in people] for name in names], dtype=float)
    draw = numpy_generator(0, "continual")
    drawn = draw.integers(len(names), size=(RESAMPLES, len(names)))
    means = (lives @ values)[drawn].sum(axis=1) / lives.sum(axis=1)[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
