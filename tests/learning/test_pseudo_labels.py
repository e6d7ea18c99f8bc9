"""Votes: each alone can stop a label; what is kept is bounded and holds no near-duplicates."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from kwsctl.bundle import Bundle, Delta
from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters._enrolment import direction
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_material import voice_of
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.kept import Kept, _likeness
from kwsctl.learning.pseudo_labels import Labelled, Verifier, trusted
from kwsctl.learning.segments import Segment
from kwsctl.learning.voice_fusion import VOICE_WEIGHT
from kwsctl.learning.votes import Votes
from tests import toy_people
from tests.toy_people import WORDS

SPEAKER = 1
LOOSE = Votes(high=-4.0, low=-8.0, joint=-50.0, consistent=0.0, voice=0.0)


@functools.cache
def enrolled() -> tuple[Bundle, float, torch.Tensor]:
    base = toy_people.encoder()
    takes = toy_people.spoken_to(WORDS[0], SPEAKER, 4, base)
    found = enroll(base, WORDS[0], takes, toy_people.negatives(), EnrollOptions(method="head", far=0.05))
    assert found.voice is not None
    odds = found.threshold / (1 - found.threshold)
    return base.with_delta(found.delta), float(torch.tensor(odds).log()), found.voice


def segment(word: str = WORDS[0], speaker: int = SPEAKER, take: int = 300, around: int = 7) -> Segment:
    bundle, _, _ = enrolled()
    (one,) = toy_people.spoken_to(word, speaker, 1, bundle, first_take=take)
    margin = float(margins_of(bundle, WORDS[0], middle(one.power[None], bundle.n_frames))[0])
    return Segment(0, 1.0, margin, (margin,) * around, one.power)


def judged(one: Segment, votes: Votes = LOOSE, **given: object) -> Labelled:
    bundle, threshold, voice = enrolled()
    told = {"voice": voice, "own": 0.9, "stranger": 0.0, **given}
    return Verifier(bundle, WORDS[0], threshold, votes=votes, **told).judge(one)


def test_a_call_of_the_person_is_a_positive_and_another_word_is_a_negative() -> None:
    assert judged(segment()).decision == "positive"
    assert (
        judged(segment("257"), dataclasses.replace(LOOSE, high=1.0, low=0.5, doubtful=0.0)).decision
        == "negative"
    )


@pytest.mark.parametrize(
    ("votes", "given", "reason"),
    [
        ({"high": 50.0}, {}, "drop zone"),
        ({"agreeing": 9}, {}, "windows around"),
        ({"voice": 1.0}, {"own": 1.5}, "another voice"),
        ({"joint": 90.0}, {}, "both doubtful"),
        ({"joint": 0.0}, {"own": 3.0}, "both doubtful"),
        ({"consistent": 1.1}, {}, "variations"),
    ],
)
def test_each_vote_alone_makes_it_abstain(
    votes: dict[str, float], given: dict[str, float], reason: str
) -> None:
    found = judged(segment(), dataclasses.replace(LOOSE, **votes), **given)
    assert found.decision == "abstain"
    assert reason in found.reason


def test_of_every_doubt_it_is_told_how_near_it_is_to_a_call() -> None:
    near = judged(segment(), dataclasses.replace(LOOSE, high=50.0), own=0.5)
    far = judged(segment(), dataclasses.replace(LOOSE, high=50.0), own=0.9)
    assert near.nearness == near.votes["joint"] == pytest.approx(far.nearness + 0.4 * VOICE_WEIGHT, abs=0.01)
    deaf = judged(segment(), dataclasses.replace(LOOSE, high=50.0), voice=None)
    assert deaf.nearness == deaf.votes["keyword"]


def test_the_model_before_any_pseudo_label_has_a_vote() -> None:
    bundle, threshold, _ = enrolled()
    found = judged(segment(), enrolled=(bundle, threshold + 40.0))
    assert (found.decision, "before any pseudo-label" in found.reason) == ("abstain", True)


def test_the_model_before_is_asked_by_its_own_network() -> None:
    bundle, threshold, _ = enrolled()
    row = bundle.labels.index(WORDS[0])
    deaf = torch.zeros_like(bundle.weights["head.bias"])
    deaf[row] = -9.0
    before = bundle.with_delta(Delta(bundle.sha256, {"head.bias": deaf}))
    one = segment()
    found = judged(one, enrolled=(before, threshold))
    assert found.votes["enrolled"] == pytest.approx(one.margin - threshold - 9.0, abs=0.01)


def test_the_persons_voice_keeps_a_missed_call_from_becoming_a_negative() -> None:
    one = segment()
    missed = dataclasses.replace(one, margin=enrolled()[1] - 9.0)
    bundle, _, voice = enrolled()
    cosine = float(voice_of(Bundle.model(bundle), middle(one.power[None], bundle.n_frames))[0] @ voice)
    assert judged(missed, own=cosine, stranger=cosine - 0.1).decision == "abstain"
    assert judged(missed, own=cosine + 1, stranger=cosine + 0.1).decision == "negative"


def test_what_was_in_doubt_is_judged_again_by_the_model_as_it_is_now() -> None:
    bundle, threshold, voice = enrolled()
    one = segment()
    doubtful = dataclasses.replace(one, margin=threshold - 5.0, around=(threshold - 5.0,) * 7)
    now = Verifier(bundle, WORDS[0], threshold, votes=LOOSE, voice=voice, own=0.9, stranger=0.0)
    assert now.judge(doubtful).decision == "abstain"
    settled = now.again(doubtful)
    assert (settled.decision, settled.again) == ("positive", True)
    assert settled.segment.margin == pytest.approx(one.margin)
    assert settled.segment.digest == one.digest


def test_near_duplicates_are_kept_once_and_louder_is_not_new() -> None:
    kept = Kept()
    one = judged(segment())
    louder = dataclasses.replace(one, segment=dataclasses.replace(one.segment, power=2 * one.segment.power))
    assert kept.add(one)
    assert not kept.add(louder)
    assert kept.add(judged(segment(take=301)))


@pytest.mark.parametrize(("windows", "is_new"), [(-4, False), (4, False), (9, True)])
def test_a_call_whose_peak_moved_is_not_new(windows: int, is_new: bool) -> None:
    """A model that has learned finds another window of the call; half a second apart it is another one."""
    kept, one = Kept(), judged(segment())
    assert kept.add(one)
    moved = one.segment.power.roll(8 * windows, dims=1)
    edge = slice(0, 8 * windows) if windows > 0 else slice(8 * windows, None)
    moved[:, edge] = one.segment.power.median()
    assert kept.add(dataclasses.replace(one, segment=dataclasses.replace(one.segment, power=moved))) == is_new


def test_likeness_is_the_cosine_of_the_parts_that_meet() -> None:
    draw = torch.Generator().manual_seed(0)
    kept = torch.randn(3, 5, 20, generator=draw).cumsum(2) - 8.0
    new = kept[1].roll(4, dims=1) + 0.1 * torch.randn(5, 20, generator=draw)
    found = _likeness(new, kept, (-8, 0, 4))
    for column, shift in enumerate((-8, 0, 4)):
        for row, other in enumerate(kept):
            one, two = new[:, max(shift, 0) :], other[:, max(-shift, 0) :]
            both = torch.stack([part[:, : 20 - abs(shift)].flatten() for part in (one, two)])
            assert float(found[row, column]) == pytest.approx(float(torch.corrcoef(both)[0, 1]), abs=1e-4)
    assert found.argmax() == 5  # the second, 4 frames later
    assert torch.allclose(_likeness(new, 3.0 * kept, (4,)), found[:, 2:], atol=1e-4)


def test_of_negatives_those_nearest_to_the_threshold_are_kept() -> None:
    kept = Kept(most=1, per_positive=3)
    for number, margin in enumerate((-9.0, -3.0, -7.0, -5.0, -8.0)):
        one = segment(WORDS[number + 1], speaker=number)
        kept.add(Labelled(dataclasses.replace(one, margin=margin), "negative", "", {}))
    assert sorted(n.segment.margin for n in kept.negatives) == [-7.0, -5.0, -3.0]


def test_what_resembles_neither_half_is_dropped() -> None:
    bundle, _, _ = enrolled()
    calls = torch.stack([segment(take=310 + n).power for n in range(6)])
    wrong = torch.stack([segment(WORDS[4], take=320).power])
    kept = trusted(bundle, WORDS[0], calls[:2], torch.cat([calls[2:], wrong]))
    assert kept == [0, 1, 2, 3]


def test_a_voice_is_compared_with_what_was_enrolled() -> None:
    bundle, _, voice = enrolled()
    own = voice_of(Bundle.model(bundle), middle(segment().power[None], bundle.n_frames))
    assert float(direction(own) @ voice) > 0.5
