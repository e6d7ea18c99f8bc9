from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kwsctl.errors import InputError
from kwsctl.evaluation import detection
from kwsctl.evaluation.streams import ScoreStream, Trigger
from kwsctl.types import SILENCE, UNKNOWN

HOP_S = 0.1

# Coarse scores, so that ties and exact hits of the threshold are frequent.
VALUES = st.integers(1, 3).flatmap(
    lambda k: arrays.arrays(
        np.float32, st.tuples(st.integers(0, 40), st.just(k)), elements=st.integers(0, 8).map(lambda n: n / 8)
    )
)
THRESHOLDS = st.lists(st.integers(0, 18).map(lambda n: n / 16), min_size=1, max_size=9)
SMOOTHING = st.integers(1, 5)
REFRACTORY_S = st.sampled_from([0.0, 0.1, 0.3, 0.75, 2.0])


def ends(n_windows: int) -> np.ndarray:
    return 1.0 + HOP_S * np.arange(n_windows)


def stream(values: list[list[float]] | np.ndarray, labels: tuple[str, ...] | None = None) -> ScoreStream:
    scores = np.asarray(values, dtype=np.float32).reshape(len(values), -1)
    labels = labels or tuple(f"word{index}" for index in range(scores.shape[1]))
    return ScoreStream(labels, scores, ends(len(scores)), HOP_S, 1.0 + HOP_S * (len(scores) - 1))


def slow_events(values, times_s, threshold, smoothing, refractory_s) -> list[tuple[float, int, float]]:
    """Goes through the stream as a device would, window after window."""
    recent, found, free_at = [], [], -math.inf
    for row, time in zip(values, times_s, strict=True):
        recent = [*recent, row.astype(float)][-smoothing:]
        average = sum(recent) / smoothing
        best = int(np.argmax(average))
        if average[best] >= threshold and time >= free_at - 1e-6:
            found.append((time, best, average[best]))
            free_at = time + refractory_s
    return found


@given(VALUES, st.integers(0, 16).map(lambda n: n / 16), SMOOTHING, REFRACTORY_S)
def test_events_equal_those_of_a_device(values, threshold, smoothing, refractory_s) -> None:
    times_s = ends(len(values))
    found = detection.events(
        values, times_s, threshold=threshold, smoothing=smoothing, refractory_s=refractory_s
    )
    expected = slow_events(values, times_s, threshold, smoothing, refractory_s)
    assert [(event.time_s, event.keyword) for event in found] == [(time, word) for time, word, _ in expected]
    assert [event.score for event in found] == pytest.approx([score for *_, score in expected])


@given(VALUES, THRESHOLDS, SMOOTHING, REFRACTORY_S)
def test_counting_for_many_thresholds_is_counting_the_events_of_each(
    values, thresholds, smoothing, refractory_s
) -> None:
    times_s = ends(len(values))
    counts = detection.count_events(
        values, times_s, thresholds, smoothing=smoothing, refractory_s=refractory_s
    )
    assert counts.shape == (len(thresholds), values.shape[1])
    for threshold, row in zip(thresholds, counts, strict=True):
        found = detection.events(
            values, times_s, threshold=threshold, smoothing=smoothing, refractory_s=refractory_s
        )
        assert row.tolist() == np.bincount([e.keyword for e in found], minlength=values.shape[1]).tolist()


@given(VALUES, SMOOTHING, REFRACTORY_S)
def test_the_number_of_events_never_rises_with_the_threshold(values, smoothing, refractory_s) -> None:
    counts = detection.count_events(
        values, ends(len(values)), np.linspace(0, 1.1, 60), smoothing=smoothing, refractory_s=refractory_s
    )
    assert (np.diff(counts.sum(axis=1)) <= 0).all()


@given(VALUES, SMOOTHING, st.integers(0, 40))
def test_smoothing_does_not_look_ahead(values, smoothing, cut) -> None:
    whole = detection.smooth(values, smoothing)
    assert detection.smooth(values[:cut], smoothing).tolist() == whole[:cut].tolist()


def test_smoothing_counts_what_was_before_the_stream_as_nothing() -> None:
    assert detection.smooth([[0.9], [0.9], [0.9], [0.0]], 3)[:, 0] == pytest.approx([0.3, 0.6, 0.9, 0.6])


def test_the_refractory_time_joins_what_belongs_together() -> None:
    values = np.zeros((60, 1))
    values[[5, 8, 24, 25, 45]] = 1.0
    found = detection.events(values, ends(60), threshold=0.5, smoothing=1, refractory_s=2.0)
    assert [round(event.time_s, 3) for event in found] == [1.5, 3.5, 5.5]


def test_a_lasting_sound_fires_again_after_the_refractory_time() -> None:
    found = detection.events(np.ones((50, 1)), ends(50), threshold=0.5, smoothing=1, refractory_s=2.0)
    assert [round(event.time_s, 3) for event in found] == [1.0, 3.0, 5.0]


def test_each_keyword_may_have_its_own_threshold() -> None:
    values = [[0.6, 0.7], [0.2, 0.7], [0.55, 0.7]]
    found = detection.events(values, ends(3), threshold=[0.5, 0.9], smoothing=1, refractory_s=0.0)
    assert [(event.keyword, event.score) for event in found] == [(0, 0.6), (0, 0.55)]


def test_reserved_labels_never_fire() -> None:
    loud = stream([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]], (UNKNOWN, "stop", SILENCE))
    assert loud.keywords == ("stop",)
    found = detection.events_of(loud, 0.5, Trigger(0.0, 0.0))
    assert [(event.time_s, event.keyword) for event in found] == [(1.1, 0)]


@settings(max_examples=60)
@given(st.lists(VALUES.filter(len), min_size=1, max_size=3), st.floats(0, 30000), REFRACTORY_S)
def test_the_threshold_for_a_budget_is_the_lowest_that_keeps_it(parts, budget, refractory_s) -> None:
    assume(len({part.shape[1] for part in parts}) == 1)
    streams, trigger = [stream(part) for part in parts], Trigger(0.2, refractory_s)
    found = detection.threshold_for_budget(streams, budget, trigger)
    hours = sum(s.seconds for s in streams) / 3600
    allowed = budget * hours + 1e-9
    assert found.hours == pytest.approx(hours)
    assert found.false_alarms == detection.false_alarms(streams, found.threshold, trigger) <= allowed
    scores = np.unique(np.concatenate([detection.smooth(part, 2).max(axis=1) for part in parts]))
    lower = scores[scores < found.threshold]
    if len(lower):  # the next lower threshold that changes anything breaks the budget
        assert detection.false_alarms(streams, float(lower[-1]), trigger) > allowed


def test_false_alarms_per_hour_are_events_not_windows() -> None:
    values = np.zeros((3600 * 10 - 9, 1))
    values[100:103] = values[5000:5002] = 0.9
    hour = stream(values)
    assert hour.seconds == pytest.approx(3600)
    assert detection.false_alarms_per_hour([hour], 0.5, Trigger(0.0, 2.0)) == pytest.approx(2.0)
    assert detection.false_alarms_per_hour([hour, hour], 0.5, Trigger(0.0, 2.0)) == pytest.approx(2.0)


def test_short_audio_cannot_prove_a_small_budget() -> None:
    fifty_two_minutes = [stream(np.zeros((52 * 600, 1)))]
    found = detection.threshold_for_budget(fifty_two_minutes, 0.1, Trigger())
    assert found.false_alarms == 0 and not found.long_enough
    assert found.provable_per_hour == pytest.approx(-math.log(0.05) / (52 / 60), rel=1e-3)
    assert detection.threshold_for_budget(fifty_two_minutes, 4.0, Trigger()).long_enough


def test_a_model_that_is_always_sure_gets_a_threshold_that_nothing_reaches() -> None:
    found = detection.threshold_for_budget([stream(np.ones((50, 1)))], 0.5, Trigger())
    assert found.threshold > 1 and found.false_alarms == 0


def test_no_audio_and_negative_budgets_are_refused() -> None:
    with pytest.raises(InputError, match="no continuous background audio"):
        detection.threshold_for_budget([], 0.5, Trigger())
    with pytest.raises(InputError, match="no continuous background audio"):
        detection.false_alarms_per_hour([], 0.5, Trigger())
    with pytest.raises(InputError, match="-1 false alarms"):
        detection.threshold_for_budget([stream([[0.5]])], -1.0, Trigger())
    with pytest.raises(InputError, match="one is negative"):
        Trigger(smoothing_s=-0.1)


def test_the_span_of_the_average_is_rounded_to_windows() -> None:
    assert [Trigger(span).windows(0.1) for span in (0.0, 0.1, 0.3, 0.34, 0.36)] == [1, 1, 3, 3, 4]
