from __future__ import annotations

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.evaluation import metrics
from kwsctl.evaluation.answers import detected_words, error_rates, recognized_words
from kwsctl.evaluation.operating_point import HeardClips, measure
from kwsctl.evaluation.streams import ScoreStream, Trigger
from kwsctl.types import UNKNOWN, Scores


def scores(
    values: list[list[float]], target: list[int], labels: tuple[str, ...] = ("a", "b", UNKNOWN)
) -> Scores:
    n = len(target)
    names = [f"s{index // 2}" for index in range(n)]
    return Scores(labels, np.array(values, np.float32), np.array(target), [str(i) for i in range(n)], names)


def test_clips_without_a_label_of_the_model_do_not_count() -> None:
    found = recognized_words(
        scores([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [0.1, 0.2, 0.7]], [0, 0, -1, 2]),
        np.random.default_rng(0),
    )
    assert found.accuracy == pytest.approx(2 / 3) and found.n_excluded == 1
    assert found.right.tolist() == [1, 0, 1] and found.speakers == ("s0", "s0", "s1")
    assert found.confusion is not None
    assert found.confusion.counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert set(found.per_label) == {"a", UNKNOWN} and found.per_label["a"].recall == 0.5
    with pytest.raises(InputError, match="no clips with a known label"):
        recognized_words(scores([[0.9, 0.1, 0]], [-1]), np.random.default_rng(0))


def test_error_rates_take_all_other_clips_as_impostors() -> None:
    draws = np.random.default_rng(1)
    values, target = draws.random((40, 3)), draws.integers(-1, 3, 40)
    target[target == 1] = 0  # nobody says b
    found = scores(values.tolist(), target.tolist())
    eer, detected = error_rates(found, 0.1)
    assert eer is not None and detected is not None
    own, others = found.values[target == 0, 0], found.values[target != 0, 0]
    assert eer.per_keyword == {"a": metrics.eer(own, others).rate, "b": None}
    assert eer.macro == eer.per_keyword["a"]
    assert detected.macro == metrics.detection_rate_at_far(own, others, 0.1).detection_rate


def test_the_mean_is_over_keywords_not_clips() -> None:
    values = [[0.9, 0.1, 0], [0.9, 0.2, 0], [0.9, 0.3, 0], [0.1, 0.2, 0]]
    eer, _ = error_rates(scores(values, [0, 0, 0, 1]), 0.0)
    assert eer is not None and eer.per_keyword["a"] == 0.0
    assert eer.per_keyword["b"] == pytest.approx(0.5) and eer.macro == pytest.approx(0.25)


def test_without_other_clips_there_are_no_error_rates() -> None:
    assert error_rates(scores([[0.9], [0.8]], [0, 0], ("a",)), 0.01) == (None, None)


def test_a_wake_word_is_right_where_it_is_detected() -> None:
    high, low = np.full((3, 2), [0.9, 0.0], np.float32), np.zeros((3, 2), np.float32)
    streams = [ScoreStream(("a", "b"), v, np.array([1.0, 1.1, 1.2]), 0.1, 1.2) for v in (high, low, high)]
    heard = HeardClips(streams, np.array([0, 0, -1]), ["ann", "bob", "ann"])
    detection = measure(heard, [], 0.5, Trigger(0, 0), np.random.default_rng(0), threshold_from="a test")
    found = detected_words(heard, detection)
    assert found.right.tolist() == [1, 0] and found.speakers == ("ann", "bob")
    assert found.accuracy is None and set(found.per_label) == {"a"} and found.per_label["a"].recall == 0.5
    nothing = detected_words(heard, None)
    assert len(nothing.right) == 0 and nothing.per_label == {}
