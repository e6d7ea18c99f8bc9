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
from kwsctl.learning.pseudo_labels import Verifier
from kwsctl.learning.segments import Segment
from kwsctl.learning.voice_fusion import VOICE_WEIGHT
from kwsctl.learning.voices import USUAL_OWN
from tests.learning.test_pseudo_labels import LOOSE, enrolled, judged, segment
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


@pytest.mark.parametrize(("stands_out", "decision"), [(1.5, "abstain"), (2.0, "positive")])
def test_a_positive_of_a_loud_room_stands_out(stands_out: float, decision: str) -> None:
    one = segment()
    found = judged(one, loud=True, crowd=at(stands_out, one))
    assert found.decision == decision
    assert found.votes["stands_out"] == pytest.approx(stands_out, abs=1e-3)


def test_in_noise_a_voice_counts_beside_the_margin_however_alike_the_clips_are() -> None:
    one, quiet = segment(), judged(segment())
    found = [judged(one, loud=True, crowd=at(2.0, one), own=own) for own in (0.9, 0.99)]
    joints = [each.votes["joint"] for each in found]
    assert joints[0] == joints[1]
    assert joints[0] == pytest.approx(quiet.votes["joint"] + VOICE_WEIGHT * (0.9 - USUAL_OWN), abs=0.01)
    for limit, decision in ((joints[0] - 0.01, "positive"), (joints[0] + 0.01, "abstain")):
        votes = dataclasses.replace(LOOSE, joint=limit)
        assert judged(one, votes, loud=True, crowd=at(2.0, one)).decision == decision


def test_in_noise_no_voice_must_be_near_by_itself() -> None:
    one = segment()
    cosine = judged(one).votes["voice"]
    strict = dataclasses.replace(LOOSE, voice=1.0, joint=-50.0)
    assert "another voice" in judged(one, strict, own=cosine + 0.01).reason
    assert judged(one, strict, own=cosine + 0.01, loud=True, crowd=at(2.5, one)).decision == "positive"
    few = crowd(np.zeros(ENOUGH - 1))  # nothing can stand out of them yet
    assert "another voice" in judged(one, strict, own=cosine + 0.01, loud=True, crowd=few).reason


def test_variations_may_differ_more_in_a_loud_room(monkeypatch: pytest.MonkeyPatch) -> None:
    one, votes = segment(), dataclasses.replace(LOOSE, consistent=0.8, consistent_loud=0.5)
    monkeypatch.setattr(Verifier, "_consistency", lambda *_: 0.6)
    assert "variations" in judged(one, votes).reason
    assert judged(one, votes, loud=True, crowd=at(2.5, one)).decision == "positive"
    monkeypatch.setattr(Verifier, "_consistency", lambda *_: 0.4)
    assert "variations" in judged(one, votes, loud=True, crowd=at(2.5, one)).reason


@pytest.mark.parametrize(("stands_out", "decision"), [(1.0, "abstain"), (0.0, "negative")])
def test_a_negative_of_a_loud_room_does_not(stands_out: float, decision: str) -> None:
    missed = dataclasses.replace(segment("257"), margin=enrolled()[1] - 20.0)
    assert judged(missed).decision == "negative"
    found = judged(missed, loud=True, crowd=at(stands_out, missed))
    assert (found.decision, "stands out" in found.reason) == (decision, decision == "abstain")


@pytest.mark.parametrize(("above", "stands_out", "own", "changes", "decision"), [
    (-2.0, 2.5, 0.9, {}, "positive"),
    (-2.0, 2.2, 0.9, {}, "abstain"),  # something comes near it
    (-2.0, 2.5, 1.6, {}, "abstain"),  # another voice
    (-2.8, 2.5, 0.9, {}, "abstain"),  # too far below the threshold
    (-2.0, 2.5, 0.9, {"loud": True}, "abstain"),  # noise makes everything else low
    (-2.0, 2.5, 0.9, {"voice": None}, "abstain"),  # nobody says whose it is
    (-2.0, 2.5, 0.9, {"verify": lambda _: -0.1}, "abstain"),
])  # fmt: skip
def test_in_a_quiet_room_a_near_voice_that_stands_far_out_is_a_call(
    above: float, stands_out: float, own: float, changes: dict[str, object], decision: str
) -> None:
    votes = dataclasses.replace(LOOSE, high=-1.0, low=-4.0, far_out=2.3, far_voice=0.7, far_low=-2.5)
    one = dataclasses.replace(segment(), margin=enrolled()[1] + above)
    assert judged(one, votes, crowd=at(stands_out, one), own=own, **changes).decision == decision


@pytest.mark.parametrize(("above", "decision"), [(1.0, "positive"), (2.0, "abstain")])
def test_where_the_keyword_is_beyond_doubt_the_voice_decides(above: float, decision: str) -> None:
    one = dataclasses.replace(segment(), margin=enrolled()[1] + above)
    votes = dataclasses.replace(LOOSE, joint=99.0)
    assert judged(one, votes, crowd=at(2.5, one)).decision == decision


def test_the_model_before_any_pseudo_label_must_agree_with_what_stands_far_out() -> None:
    one = dataclasses.replace(segment(), margin=enrolled()[1] - 2.0)
    given = {"crowd": at(2.5, one), "own": 0.9}
    for above, decision in ((-2.4, "positive"), (-2.6, "abstain")):
        bundle, _, _ = enrolled()
        margin = float(margins_of(bundle, WORDS[0], middle(one.power[None], bundle.n_frames))[0])
        votes = dataclasses.replace(LOOSE, high=-1.0, low=-4.0)
        assert judged(one, votes, enrolled=(bundle, margin - above), **given).decision == decision
