"""Figures of a comparison are what counting by hand gives."""

from __future__ import annotations

import numpy as np
import pytest

from kwsctl.export import choosing, parity
from kwsctl.export.heard import Heard
from kwsctl.export.parity import Answers, Compared, Judge
from kwsctl.export.scores import Head

HEAD = Head(("a", "b"), "keywords", np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
LABELS = ("a", "a", "b", "b", "other")
SPEAKERS = ("x", "y", "x", "y", "x")


def answers(*said: str) -> Answers:
    """Answers with these labels: the embedding points to what is said."""
    outputs = np.array([[3.0, 0.0] if word == "a" else [0.0, 3.0] for word in said], np.float32)
    scores = HEAD.scores(outputs)
    return Answers([outputs], scores, scores.argmax(axis=1))


def compared(found: Answers, thresholds: dict[str, float], exact: Answers | None = None) -> Compared:
    heard = Heard(np.zeros((5, 1, 1), np.float32), LABELS, SPEAKERS, "by hand")
    exact = exact or answers("a", "a", "b", "b", "a")
    return parity.compare("htp", Judge(HEAD, thresholds), heard, exact, found, exact)


def test_losses_are_counted_over_windows_with_a_label_of_the_model() -> None:
    found = compared(answers("a", "b", "b", "b", "b"), {"a": 0.5, "b": 0.5})
    assert (found.accuracy, found.float_accuracy) == (0.75, 1.0)
    assert found.loss == pytest.approx(25)  # one of four
    assert found.agreement == found.agreement_cpu == pytest.approx(3 / 5)  # the other word counts here
    assert found.per_label == {"a": 50.0}
    assert found.per_speaker == {"y": 50.0}
    assert found.detection_loss == pytest.approx(25)
    assert found.error == pytest.approx(2 * 6 / 10)  # two of five windows, both entries off by 3
    assert found.cost == found.loss


def test_without_labels_disagreement_counts() -> None:
    heard = Heard(np.zeros((2, 1, 1), np.float32), ("x", "y"), (None, None), "by hand")
    exact, found = answers("a", "b"), answers("a", "a")
    one = parity.compare("cpu", Judge(HEAD, {}), heard, exact, found, exact)
    assert (one.loss, one.judged_by, one.cost) == (None, "agreement", 50.0)
    encoder = parity.compare("cpu", Judge(HEAD, {}, is_encoder=True), heard, exact, found, exact)
    assert (encoder.judged_by, encoder.cost) == ("cosine", pytest.approx(50))


def test_one_window_may_be_lost_and_two_may_not() -> None:
    one = compared(answers("a", "b", "b", "b", "a"), {})
    assert choosing.over(one, 0.5) == "loses 25.00 points of accuracy on htp (n = 5)"  # 100 / 5 are allowed
    assert not choosing.over(one, 25.0)
    assert not choosing.over(compared(answers("a", "a", "b", "b", "b"), {}), 0.0)


def test_prototypes_of_words_stand_for_labels() -> None:
    points = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    head = parity.words_head(points, ("up", "up", "down"))
    assert head.labels == ("down", "up")
    assert list(head.scores(points).argmax(axis=1)) == [1, 1, 0]
