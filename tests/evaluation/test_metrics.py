from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.evaluation import metrics

# Coarse scores, so that ties between targets and non-targets are frequent.
SCORES = st.lists(st.integers(0, 12).map(lambda n: n / 12), min_size=1, max_size=30)
FINE = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert metrics.accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == 0.75


def test_nothing_to_divide_by_is_an_error_that_names_what_is_missing() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(InputError, match="no clips of 'stop'"):
        metrics.rate(0, 0, "clips of 'stop'")
    with pytest.raises(InputError, match="no clips with a known label"):
        metrics.accuracy(empty, empty)
    with pytest.raises(InputError, match="no clips with a known label"):
        metrics.confusion(empty, empty, 3)


@pytest.mark.parametrize(
    "of", [metrics.det, metrics.eer, lambda p, n: metrics.detection_rate_at_far(p, n, 0.1)]
)
def test_an_empty_or_broken_side_is_refused(of) -> None:
    with pytest.raises(InputError, match="no target trials"):
        of([], [0.1])
    with pytest.raises(InputError, match="no non-target trials"):
        of([0.1], [])
    with pytest.raises(InputError, match="not finite"):
        of([0.1, float("nan")], [0.1])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_confusion_counts_pairs(pairs: list[tuple[int, int]]) -> None:
    truth, said = np.array(pairs).T
    counts = metrics.confusion(said, truth, 4)
    for true in range(4):
        for called in range(4):
            assert counts[true, called] == pairs.count((true, called))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_label_figures_are_those_of_the_definition(pairs: list[tuple[int, int]]) -> None:
    truth, said = np.array(pairs).T
    for label, figures in enumerate(metrics.per_label(metrics.confusion(said, truth, 4))):
        spoken = [pair for pair in pairs if pair[0] == label]
        called = [pair for pair in pairs if pair[1] == label]
        both = [pair for pair in pairs if pair == (label, label)]
        if not spoken:
            assert figures is None
            continue
        assert figures is not None
        assert figures.n == len(spoken)
        assert figures.recall == len(both) / len(spoken)
        if not called:
            assert figures.precision is None and figures.f1 is None
        else:
            precision = len(both) / len(called)
            assert figures.precision == precision
            total = precision + figures.recall
            assert figures.f1 == pytest.approx(2 * precision * figures.recall / total if total else 0.0)


@given(SCORES, SCORES)
def test_det_counts_at_each_threshold(targets: list[float], others: list[float]) -> None:
    curve = metrics.det(targets, others)
    assert (np.diff(curve.thresholds) > 0).all()
    for threshold, false_alarm_rate, miss_rate in zip(
        curve.thresholds, curve.false_alarm_rate, curve.miss_rate, strict=True
    ):
        assert false_alarm_rate == pytest.approx(sum(score >= threshold for score in others) / len(others))
        assert miss_rate == pytest.approx(sum(score < threshold for score in targets) / len(targets))


def slow_eer(targets: list[float], others: list[float]) -> float:
    """Walks over all thresholds; where the sign changes, crosses the two straight lines."""
    points = []
    for threshold in [-np.inf, *sorted({*targets, *others}), np.inf]:
        misses = sum(score < threshold for score in targets) / len(targets)
        alarms = sum(score >= threshold for score in others) / len(others)
        points.append((alarms, misses))
    for (a0, m0), (a1, m1) in itertools.pairwise(points):
        if m1 >= a1:
            fall, rise = a0 - a1, m1 - m0
            share = (a0 - m0) / (fall + rise)
            return m0 + share * rise
    raise AssertionError


@given(SCORES, SCORES)
def test_eer_equals_the_slow_one(targets: list[float], others: list[float]) -> None:
    assert metrics.eer(targets, others).rate == pytest.approx(slow_eer(targets, others))


@given(FINE, FINE)
def test_eer_swaps_sides_under_negation(targets: list[float], others: list[float]) -> None:
    assert metrics.eer(targets, others).rate == pytest.approx(
        metrics.eer([-score for score in others], [-score for score in targets]).rate
    )


def test_eer_by_hand() -> None:
    assert metrics.eer([0.9, 0.8], [0.1, 0.2]).rate == 0.0
    assert metrics.eer([0.1, 0.2], [0.9, 0.8]).rate == 1.0
    assert metrics.eer([0.5] * 4, [0.5] * 7).rate == 0.5
    found = metrics.eer([0.2, 0.6, 0.7, 0.9], [0.1, 0.3, 0.4, 0.8])
    assert (found.rate, found.n_targets, found.n_non_targets) == (0.25, 4, 4)


@given(SCORES, SCORES, st.floats(0, 1))
def test_detection_rate_at_far_tries_every_threshold(
    targets: list[float], others: list[float], far: float
) -> None:
    found = metrics.detection_rate_at_far(targets, others, far)
    assert found.far <= far + 1e-9
    rates = [0.0]
    for threshold in {*targets, *others}:
        if sum(score >= threshold for score in others) <= far * len(others) + 1e-9:
            rates.append(sum(score >= threshold for score in targets) / len(targets))
    assert found.detection_rate == pytest.approx(max(rates))


def test_detection_rate_at_far_refuses_what_is_not_a_share() -> None:
    with pytest.raises(InputError, match=r"1\.5 is not a share"):
        metrics.detection_rate_at_far([1.0], [0.0], 1.5)
