"""What a person is asked about: the segments nearest to being calls, each from its own stream."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.segments import Segment
from kwsctl.personal.doubts import KEPT_S, Doubts
from tests import toy_people

RATE_HZ = 16_000


def doubt(at_s: float, **votes: float) -> Labelled:
    bundle = toy_people.encoder()
    power = torch.rand(
        bundle.features.mel_bins, bundle.n_frames + 30, generator=torch.Generator().manual_seed(int(9 * at_s))
    )
    return Labelled(Segment(0, at_s, -2.0, (), power), "abstain", "", votes)


def listening(most: int, *heard: tuple[Labelled, str]) -> Doubts:
    doubts = Doubts(most)
    doubts.listen(np.linspace(0, 0.9, 9 * RATE_HZ, dtype=np.float32), 0, RATE_HZ)
    for one, stream in heard:
        doubts.consider(one, stream, toy_people.encoder())
    return doubts


def gone(doubts: Doubts) -> None:
    """Lets so much silence follow that what was heard before is no longer kept."""
    for second in range(9, 9 + round(KEPT_S) + 10):
        doubts.listen(np.zeros(RATE_HZ, np.float32), second * RATE_HZ, RATE_HZ)


def test_keyword_and_voice_together_say_what_is_nearest_to_a_call() -> None:
    stranger, far, near = doubt(2, keyword=3.0, joint=-6.0), doubt(4, keyword=-4.0), doubt(6, keyword=-2.0)
    asked = list(listening(2, (stranger, "a"), (far, "a"), (near, "b")).asked("lamp"))
    assert [one.digest for one in asked] == [near.segment.digest, far.segment.digest]
    assert [one.facts["stream"] for one in asked] == ["b", "a"]  # not the last one that was heard
    assert abs(float(asked[0].samples[-1]) - 0.63) < 1e-3  # what was heard until 0.3 s after the sixth second


def test_what_is_settled_later_is_not_asked() -> None:
    one, other = doubt(2, keyword=-1.0), doubt(4, keyword=-2.0)
    doubts = listening(2, (one, "a"), (other, "a"))
    doubts.consider(dataclasses.replace(one, decision="positive", again=True), "a", toy_people.encoder())
    assert [asked.digest for asked in doubts.asked("lamp")] == [other.segment.digest]


def test_without_questions_no_audio_is_kept() -> None:
    assert not list(listening(0, (doubt(2, keyword=-1.0), "a")).asked("lamp"))


def test_what_was_judged_again_is_asked_as_it_is_near_now_with_the_audio_that_was_heard() -> None:
    early, late = doubt(2, keyword=-4.0), doubt(4, keyword=-3.0)
    doubts = listening(1, (early, "a"), (late, "a"))
    gone(doubts)
    doubts.consider(
        dataclasses.replace(early, votes={"keyword": -1.0}, again=True), "a", toy_people.encoder()
    )
    (asked,) = doubts.asked("lamp")
    assert asked.digest == early.segment.digest
    assert asked.facts["votes"] == {"keyword": -1.0}
    assert float(np.abs(asked.samples).max()) > 0.2


def test_a_doubt_whose_sound_is_gone_is_not_asked() -> None:
    doubts = listening(2)
    gone(doubts)
    doubts.consider(doubt(2, keyword=-1.0), "a", toy_people.encoder())
    assert not list(doubts.asked("lamp"))


def test_the_sound_of_a_segment_is_there_until_its_room_is_known() -> None:
    doubts = listening(1)
    for second in range(9, 215):
        doubts.listen(np.zeros(RATE_HZ, np.float32), second * RATE_HZ, RATE_HZ)
    doubts.consider(doubt(6, keyword=-1.0), "a", toy_people.encoder())
    (asked,) = doubts.asked("lamp")
    assert abs(float(asked.samples[-1]) - 0.63) < 1e-3 and len(asked.samples) > RATE_HZ
