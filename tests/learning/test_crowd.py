"""What stands out of a stream: told only when enough was heard, and anew by a model that has learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kwsctl.bundle import Delta
from kwsctl.features.augmentation import middle
from kwsctl.learning.crowd import ENOUGH, MOST, Crowd
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.segments import Segment
from tests.learning.test_pseudo_labels import enrolled, judged, segment
from tests.toy_people import WORDS


def crowd(margins: np.ndarray) -> Crowd:
    one, found = segment(), Crowd()
    for margin in margins:
        found.push(dataclasses.replace(one, margin=float(margin)))
    return found


def test_what_a_margin_is_worth_is_told_when_enough_was_heard() -> None:
    margins = np.random.default_rng(0).normal(-9.0, 2.0, MOST + 40)
    assert crowd(margins[: ENOUGH - 1]).stands_out(0.0) is None
    newest = margins[-MOST:]
    assert crowd(margins).stands_out(-3.0) == pytest.approx((-3.0 - newest.mean()) / newest.std())


def test_a_model_that_has_learned_scores_all_of_them_anew() -> None:
    bundle, _, _ = enrolled()
    segments = [segment(word, take=310 + take) for word in WORDS[:4] for take in range(5)]
    found = Crowd()
    for one in segments:
        found.push(one)
    bend = 3.0 * bundle.weights["head.weight"]
    learned = bundle.with_delta(Delta(bundle.sha256, {"head.weight": bend}))
    found.judge_by(learned, WORDS[0])
    power = torch.stack([one.power for one in segments])
    margins = margins_of(learned, WORDS[0], middle(power, bundle.n_frames))
    assert found.stands_out(0.0) == pytest.approx(-margins.mean() / margins.std(), rel=1e-4)


def at(stands_out: float, one: Segment) -> Crowd:
    """A crowd out of which a segment stands by so many standard deviations."""
    spread = np.tile([-1.0, 1.0], ENOUGH)
    return crowd(one.margin - stands_out + spread)


@pytest.mark.parametrize(("stands_out", "decision"), [(1.5, "abstain"), (2.5, "positive")])
def test_a_positive_of_a_loud_room_stands_out(stands_out: float, decision: str) -> None:
    one = segment()
    found = judged(one, crowd=at(stands_out, one))
    assert found.decision == decision
    assert found.votes["stands_out"] == pytest.approx(stands_out, abs=1e-3)


@pytest.mark.parametrize(("stands_out", "decision"), [(1.0, "abstain"), (0.0, "negative")])
def test_a_negative_of_a_loud_room_does_not(stands_out: float, decision: str) -> None:
    missed = dataclasses.replace(segment("257"), margin=enrolled()[1] - 20.0)
    assert judged(missed).decision == "negative"
    found = judged(missed, crowd=at(stands_out, missed))
    assert (found.decision, "stands out" in found.reason) == (decision, decision == "abstain")
