"""A room is learned without labels: words there come out as they do in quiet, and quiet words as before."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import LOW_RANK_UP, Bundle, Delta
from kwsctl.features.augmentation import middle
from kwsctl.learning import guard, new_threshold, room_tuning, updating
from kwsctl.learning.adapt import ENOUGH_CLIPS, Learner
from kwsctl.learning.adapt_options import AdaptOptions
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.learning.canary import RARER, RARER_TUNED, Tolerances
from kwsctl.learning.enrolment_material import voice_of
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.room_words import part_way
from kwsctl.learning.segments import Segment
from kwsctl.learning.surroundings import CHUNK_FRAMES, in_room, matters
from kwsctl.learning.updating import Decided
from kwsctl.learning.votes import Votes
from kwsctl.seeding import torch_generator
from tests import toy_people
from tests.learning.test_updating import gathered as of_a_stream
from tests.learning.test_updating import known


@functools.cache
def loud(share: float = 0.3) -> Tensor:
    """A room with noise in every band where the person speaks."""
    bins = known().base.features.mel_bins
    draw = torch.Generator().manual_seed(0)
    return (
        share
        * known().replay.mean((0, 2))[None, :, None]
        * torch.rand(8, bins, CHUNK_FRAMES, generator=draw)
        * 4
    )


def gathered(room: Tensor | None) -> Gathered:
    none = known().replay[:0]
    return Gathered(none, none, room, none)


@functools.cache
def tuned() -> Bundle:
    return known().current.with_delta(room_tuning.learn(known(), loud()))


def away(bundle: Bundle, *, heard_in_room: bool, voice: bool = False) -> float:
    """How far words that nothing was fitted to come out from what the base says of them in quiet."""
    quiet = known().others[1::2]
    heard = in_room(quiet, loud(), torch_generator(9, "test")) if heard_in_room else quiet
    of = voice_of if voice else embed
    features = [middle(power, bundle.n_frames) for power in (heard, quiet)]
    found = of(Bundle.model(bundle), features[0]), of(Bundle.model(known().base), features[1])
    return 1 - float(fn.cosine_similarity(*found, dim=1).mean())


@pytest.mark.parametrize("voice", [False, True])
def test_words_and_voices_of_the_room_come_out_more_as_they_do_in_quiet(voice: bool) -> None:
    before, after = (away(bundle, heard_in_room=True, voice=voice) for bundle in (known().current, tuned()))
    assert after < 0.7 * before
    assert away(tuned(), heard_in_room=False, voice=voice) < 0.3 * before


def test_the_change_is_thin_and_leaves_the_head_alone() -> None:
    delta = room_tuning.learn(known(), loud())
    size = sum(weight.nbytes for weight in known().current.weights.values())
    assert 0 < sum(change.nbytes for change in delta.changes.values()) < size
    assert not [name for name in delta.changes if name.startswith("head.")]


def test_an_adapter_learns_on_top_of_a_loud_room_only() -> None:
    proposal = updating.propose(known(), gathered(loud()), "head", tune_room=True)
    assert (proposal.tuned, proposal.rarer) == (True, RARER_TUNED)
    learned = known().current.with_delta(proposal.delta)
    assert proposal.threshold == pytest.approx(
        new_threshold.threshold_of(known(), learned, gathered(loud()), tuned=True)
    )
    assert proposal.threshold != new_threshold.threshold_of(known(), learned, gathered(loud()))
    assert proposal.delta is not None
    after = known().current.with_delta(proposal.delta)  # one change on the model in use
    trunk = [name for name in tuned().weights if not name.startswith("head.")]
    assert all(torch.allclose(after.weights[name], tuned().weights[name], atol=1e-6) for name in trunk)
    assert not torch.equal(after.weights["head.weight"], known().current.weights["head.weight"])
    for room, method, tune in ((loud(), "head", False), (1e-6 * loud(), "head", True), (None, "head", True),
                               (loud(), "prototypes", True), (loud(), "threshold", True)):  # fmt: skip
        found = updating.propose(known(), gathered(room), method, tune_room=tune)
        assert (found.tuned, found.rarer) == (False, RARER)
    assert not updating.propose(known(), gathered(loud()), "bias", "w8a8g8", tune_room=True).tuned


def test_every_way_into_a_room_is_a_part_of_a_change_that_is_learned_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned: list[Delta] = []

    def learn(of: Known, room: Tensor) -> Delta:
        learned.append(room_tuning.learn(of, room))
        return learned[-1]

    monkeypatch.setattr(updating, "_room_learner", lambda _method: learn)
    person = dataclasses.replace(known(), made={})
    for way in (1.0, 0.5):
        found = updating.propose(person, gathered(loud()), "head", tune_room=way).delta
        assert found is not None
        after = person.current.with_delta(found).weights
        there = person.current.with_delta(part_way(learned[0], way)).weights
        trunk = [name for name in there if not name.startswith("head.")]
        assert all(torch.allclose(after[name], there[name], atol=1e-6) for name in trunk)
    assert len(learned) == 1
    updating.propose(dataclasses.replace(person, current=tuned()), gathered(loud()), "head", tune_room=1.0)
    updating.propose(person, gathered(loud().clone()), "head", tune_room=1.0)  # another room
    assert len(learned) == 3


def test_two_changes_that_overlap_become_one() -> None:
    current = known().current
    first = room_tuning.learn(known(), loud())
    name = "head.bias"
    on = current.with_delta(first)
    bend = torch.full_like(on.weights[name], 0.5)
    trunk = next(n for n in first.changes if not n.endswith((".up", ".down")))
    then = Delta(on.sha256, {name: bend, trunk: torch.ones_like(on.weights[trunk])})
    both = current.with_delta(updating._on_top(current, first, then)).weights
    expected = on.with_delta(then).weights
    assert all(torch.allclose(both[n], expected[n], atol=1e-5) for n in expected)


def test_a_room_that_cannot_be_heard_beside_speech_does_not_matter() -> None:
    assert matters(loud(), known().replay)
    assert not matters(1e-6 * loud(), known().replay)


def test_as_many_other_words_may_pass_in_a_loud_room_as_do_in_quiet() -> None:
    """In the room nothing passes the threshold; were that asked for, calls would not pass either."""
    n_frames = known().current.n_frames
    drowned = new_threshold.held_out(known(), "drowned", known().others[1::4], 1e9 * loud(), n_frames)
    quiet, loudest = np.split(new_threshold._peaks(known(), known().current, drowned), 2)
    threshold = float(loudest.max()) + 0.1
    share = float((quiet >= threshold).mean())
    assert share > 0.6  # of both together not even half
    for above, allowed in ((threshold, share), (50.0, 1 / RARER)):
        person = dataclasses.replace(known(), threshold=above, budget=1.0, made={})
        assert new_threshold._allowed(person, drowned, loud(), RARER) == pytest.approx(allowed)


def test_calls_to_expect_are_told_less_far_out_where_the_trunk_changed() -> None:
    kept = updating.canary_of(known(), gathered(loud()))
    given = kept, known().current, known().keyword, known().threshold, known().base, known().embedded
    near, far = (guard.figures(*given, rarer=rarer).expected for rarer in (RARER_TUNED, RARER))
    assert near > far


def learner(options: AdaptOptions) -> Learner:
    return Learner(known(), (known().current, known().threshold), options)


@pytest.mark.parametrize("tune", [True, False])
def test_the_first_update_learns_the_room_and_is_what_later_ones_are_held_against(tune: bool) -> None:
    free = Tolerances(calls=1.0, expected=1.0, false_alarms=1.0, global_task=1.0, drift=2.0, gain=-2.0)
    one = learner(AdaptOptions(tune_room=tune, tolerances=free))
    frames = loud().transpose(0, 1).flatten(1).repeat(1, 30)
    one.room.push(frames)
    decided = one.update(tune_room=tune)
    assert decided.reason == ""
    assert decided.proposal.tuned == one.known.tuned == tune
    assert one._unlearned[0] is one.known.current  # no segment has spoken yet
    assert (one._first[0] is one.known.current) == tune
    assert one._verifier.votes.joint == Votes().joint_loud
    assert one._verifier.loud and one._verifier.crowd is one._crowd


def test_a_teacher_says_of_words_in_the_room_what_it_says_of_them_in_quiet() -> None:
    tasks = [updating.material_of(known(), gathered(loud()), teach=teach).task for teach in (True, False)]
    quiet, in_room_ = tasks[0].negative_embeddings.chunk(2)
    assert torch.equal(quiet, in_room_)
    quiet, in_room_ = tasks[1].negative_embeddings.chunk(2)
    assert not torch.allclose(quiet, in_room_, atol=0.1)


def test_where_the_guard_refuses_the_room_the_row_alone_is_tried() -> None:
    tried = []
    free = Tolerances(calls=1.0, expected=1.0, false_alarms=1.0, global_task=1.0, drift=1e-4, gain=-2.0)
    one = Learner(
        known(), (known().current, known().threshold), AdaptOptions(tolerances=free),
        on_update=lambda decided: tried.append((decided.proposal.tuned, bool(decided.reason))),
    )  # fmt: skip
    one.room.push(loud().transpose(0, 1).flatten(1).repeat(1, 70))
    one.hear(np.zeros(0, np.float32))
    assert tried == [(True, True)] * 3 + [(False, False)]
    assert not one.known.tuned


def test_where_all_the_way_into_a_room_turns_too_much_half_of_it_is_gone() -> None:
    free = Tolerances(calls=1.0, expected=1.0, false_alarms=1.0, global_task=1.0, drift=2.0, gain=-2.0)
    given = known(), gathered(loud())
    drifts = [
        updating.decide(
            *given, updating.propose(*given, "head", tune_room=way), free, known().current
        ).after.drift
        for way in (1.0, 0.5)
    ]
    assert 0 < drifts[1] < 0.7 * drifts[0]
    tried = []
    one = Learner(
        known(), (known().current, known().threshold),
        AdaptOptions(tolerances=dataclasses.replace(free, drift=0.7 * drifts[0])),
        on_update=lambda decided: tried.append((decided.proposal.tuned, bool(decided.reason))),
    )  # fmt: skip
    one.room.push(loud().transpose(0, 1).flatten(1).repeat(1, 70))
    one.hear(np.zeros(0, np.float32))
    assert tried == [(True, True), (True, False)]
    assert one.known.tuned


def test_a_change_that_goes_part_of_the_way_moves_every_weight_by_that_part() -> None:
    change = room_tuning.learn(known(), loud())
    assert any(name.endswith(LOW_RANK_UP) for name in change.changes)
    before = known().current.weights
    whole, part = (known().current.with_delta(one).weights for one in (change, part_way(change, 0.25)))
    for name in part:
        moved, all_the_way = (each[name].double() - before[name].double() for each in (part, whole))
        torch.testing.assert_close(moved, 0.25 * all_the_way, atol=1e-4, rtol=0.01)


def test_what_cannot_learn_a_room_is_not_tried_again() -> None:
    tried = []
    one = Learner(
        known(), (known().current, known().threshold), AdaptOptions(method="threshold"),
        on_update=lambda decided: tried.append(decided.proposal.tuned),
    )  # fmt: skip
    one.room.push(loud().transpose(0, 1).flatten(1).repeat(1, 70))
    one.hear(np.zeros(0, np.float32))
    assert tried == [False]


@pytest.mark.parametrize(("clips", "calls", "is_loud", "method"), [
    (3, 5, False, "threshold"), (3, 0, True, "head"), (2, 5, False, "head"), (2, 0, False, "threshold"),
    (2, 0, True, "head"),
])  # fmt: skip
def test_in_a_quiet_room_a_row_learns_from_calls_and_until_it_knows_three_clips(
    clips: int, calls: int, is_loud: bool, method: str
) -> None:
    person = dataclasses.replace(known(), replay=known().replay[:clips], made={})
    given = person, (person.current, person.threshold)
    room = loud() if is_loud else 1e-6 * loud()
    one, told = Learner(*given, AdaptOptions()), Learner(*given, AdaptOptions(method="bias"))
    for each in (one, told):
        each.room.push(room.transpose(0, 1).flatten(1).repeat(1, 30))
        for power in of_a_stream().positives[:calls]:
            each.recall(Labelled(Segment(0, 0.0, 0.0, (), power), "positive", "earlier", {}, told=True))
    assert [each.method_for(each.gathered()) for each in (one, told)] == [method, "bias"]
    assert (one.update().proposal.delta is None) == (method == "threshold")


def test_in_a_room_that_was_learned_the_row_goes_on_learning() -> None:
    person = dataclasses.replace(known(), current=tuned(), tuned=True, made={})
    assert len(person.replay) >= ENOUGH_CLIPS
    one = Learner(person, (person.current, person.threshold), AdaptOptions())
    assert one.method_for(gathered(None)) == "head"


def test_a_model_that_learned_a_room_says_so() -> None:
    decided = updating.decide(
        known(), gathered(loud()), updating.propose(known(), gathered(loud()), "head", tune_room=True),
        Tolerances(), known().current,
    )  # fmt: skip
    after: Known = updating.after(known(), dataclasses.replace(decided, reason=""))
    assert after.tuned and not known().tuned


def said(speaker: int, word: str, count: int) -> list[Segment]:
    bundle, segments = known().current, []
    for one in toy_people.spoken_to(word, speaker, count, bundle, first_take=400):
        margin = float(margins_of(bundle, known().keyword, middle(one.power[None], bundle.n_frames))[0])
        segments.append(Segment(0, 1.0 + len(segments), margin, (margin,) * 9, one.power))
    return segments


def day(*said: tuple[str, int]) -> NDArray[np.float32]:
    """Words by speakers, one after the other, in a quiet room."""
    pause = np.zeros(20_000, np.float32)
    parts = [
        part for n, (word, who) in enumerate(said) for part in (pause, toy_people.say(word, who, 400 + n))
    ]
    stream = np.concatenate([*parts, pause, pause])
    draw = np.random.default_rng(0)
    return (stream + 1e-4 * draw.standard_normal(len(stream))).astype(np.float32)


def test_nothing_is_taken_for_anything_before_the_room_is_known() -> None:
    told: list[tuple[Labelled, bool]] = []
    loose = Votes(high=-4.0, joint=-50.0, consistent=0.0, voice=0.0, doubtful=0.0, enrolled=-9.0)
    one = Learner(
        known(), (known().current, known().threshold), AdaptOptions(votes=loose),
        on_label=lambda labelled, kept: told.append((labelled, kept)),
    )  # fmt: skip
    other = toy_people.WORDS[11]
    samples = day((known().keyword, 1), (other, 1), (known().keyword, 1), (other, 1))
    for piece in np.array_split(samples, 30):
        one.hear(piece)
    assert told == [] and one.pending and one.waiting_s == pytest.approx(len(samples) / 16_000)
    one.room.push((1e-6 * loud()).transpose(0, 1).flatten(1).repeat(1, 70))  # a quiet one
    one.hear(np.zeros(0, np.float32))
    assert one.waiting_s == 0.0 and one.ear.samples == len(samples)
    one.end()
    assert [labelled.decision == "positive" for labelled, _ in told] == [True, False] * 2
    times = [labelled.segment.time_s for labelled, _ in told]
    assert times == sorted(times) and not any(labelled.again for labelled, _ in told)
    assert not one._verifier.loud and one._verifier.votes.joint == loose.joint
    assert not one.pending and sum(one.tally.segments.values()) == 4


def test_the_beginning_is_heard_by_the_model_that_knows_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Labelled] = []
    deaf = known().current.with_delta(
        Delta(known().current.sha256, {"head.weight": -known().current.weights["head.weight"]}, made_by={})
    )
    before = dataclasses.replace(known(), current=deaf, made={})
    one = Learner(before, (deaf, known().threshold), AdaptOptions(), on_label=lambda x, _kept: told.append(x))

    def hears_well(*_: object, **__: object) -> Decided:
        one.known = known()
        return Decided(updating.Proposal("threshold", None, 0.0), "", *[None] * 3)  # type: ignore[arg-type]

    monkeypatch.setattr(one, "update", hears_well)
    one.hear(day((toy_people.WORDS[11], 1), (known().keyword, 1), (toy_people.WORDS[9], 1)))
    one.room.push(loud().transpose(0, 1).flatten(1).repeat(1, 70))
    one.hear(np.zeros(0, np.float32))
    one._segmenter.flush()
    best = max(told, key=lambda x: x.segment.margin)
    features = middle(best.segment.power[None], known().current.n_frames)
    # The streaming form hears what lies around the window, too.
    heard = float(margins_of(known().current, known().keyword, features)[0])
    assert best.segment.margin == pytest.approx(heard, abs=2.0) and heard > known().threshold
    assert best.segment.time_s == pytest.approx(2 * 1.25 + 1.5 + 0.6, abs=0.5)


def test_a_stream_that_ends_early_is_judged_in_the_room_that_is_guessed() -> None:
    one = learner(AdaptOptions())
    one.hear(day((known().keyword, 1)))
    one.room.push(loud().transpose(0, 1).flatten(1).repeat(1, 30))  # not as much as is waited for
    one.hear(np.zeros(0, np.float32))
    assert one.pending and not one._room_used
    one.end()
    assert one._room_used and not one.pending


def test_a_stream_too_short_to_tell_the_room_is_judged_at_its_end() -> None:
    told: list[Labelled] = []
    one = Learner(
        known(), (known().current, known().threshold), AdaptOptions(),
        on_label=lambda labelled, _kept: told.append(labelled),
    )  # fmt: skip
    one.hear(day((known().keyword, 1)))
    assert not told
    one.end()
    assert told and not one._room_used and one.waiting_s == 0.0


def test_later_updates_on_a_trunk_that_learned_a_room_are_told_at_its_rarity() -> None:
    later = dataclasses.replace(known(), current=tuned(), tuned=True, made={})
    for person, rarer in ((later, RARER_TUNED), (known(), RARER)):
        found = updating.propose(person, gathered(loud()), "head")
        assert (found.tuned, found.rarer) == (False, rarer)


def test_what_was_in_doubt_is_no_negative_for_a_model_that_has_learned() -> None:
    one = learner(AdaptOptions())
    one._room_used = True
    doubtful = said(1, toy_people.WORDS[11], 1)[0]
    one._doubtful.append(doubtful)
    assert one._verifier.again(doubtful).decision == "negative"
    one._reconsider()
    assert list(one._doubtful) and not one.kept.negatives
