"""Updates: methods that only infer save nothing for a backward pass; rooms, thresholds and the canary."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import ExtensionError, InputError
from kwsctl.features.augmentation import middle
from kwsctl.learning import guard, new_threshold, updating
from kwsctl.learning.adapt import Learner
from kwsctl.learning.adapt_options import AdaptOptions
from kwsctl.learning.adapters import prototype
from kwsctl.learning.adapters._enrolment import embed, margins
from kwsctl.learning.budget import share_of_rearranged, threshold_for
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.crowd import ENOUGH
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.forward import forward, prototypes
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.new_threshold import (
    AT_MOST_TOWARDS_CALLS,
    ENOUGH_HEARD,
    HELD_BACK,
    TOWARDS_CALLS,
    _limit,
    _margins,
    calls_of,
    held_out,
    threshold_of,
)
from kwsctl.learning.piece_orders import REARRANGED
from kwsctl.learning.precision import Quantization
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.segments import Segment
from kwsctl.learning.surroundings import CHUNK_FRAMES, Room, in_room, to_level
from kwsctl.learning.updating import Proposal
from tests import toy_people
from tests.toy_people import WORDS

FORWARD = registry.names("kwsctl.learning.forward")


@functools.cache
def known() -> Known:
    base = toy_people.encoder()
    takes = toy_people.spoken_to(WORDS[0], 1, 4, base)
    found = enroll(base, WORDS[0], takes, toy_people.negatives(), EnrollOptions(method="head", far=0.05))
    threshold = float(torch.tensor(found.threshold / (1 - found.threshold)).log())
    power = torch.stack([take.power for take in takes])
    current = base.with_delta(found.delta)
    return Known(base, current, WORDS[0], threshold, power, found.voice, False, 0.05, toy_people.negatives())


@functools.cache
def gathered() -> Gathered:
    base = toy_people.encoder()
    calls = torch.stack([t.power for t in toy_people.spoken_to(WORDS[0], 1, 6, base, first_take=200)])
    others = torch.stack(
        [t.power for w in WORDS[1:5] for t in toy_people.spoken_to(w, 1, 2, base, first_take=200)]
    )
    room = 1e-4 * torch.rand(
        8, base.features.mel_bins, CHUNK_FRAMES, generator=torch.Generator().manual_seed(0)
    )
    return Gathered(calls, others, room, torch.cat([calls, others]))


def test_of_a_keyword_that_the_base_was_trained_to_hear_no_pieces_are_learned_from() -> None:
    trained = dataclasses.replace(known(), base=toy_people.keyword_model(), made={})
    assert trained.is_trained and not known().is_trained
    counts = [
        len(updating.material_of(one, gathered(), teach=False).task.negatives) for one in (known(), trained)
    ]
    assert counts[0] - counts[1] == 2 * REARRANGED  # as they are and in the room


def test_more_pieces_of_a_trained_keyword_may_pass_so_that_its_threshold_is_lower() -> None:
    strict = dataclasses.replace(known(), threshold=30.0, budget=0.01, made={})
    trained = dataclasses.replace(strict, base=toy_people.keyword_model(), made={})
    limits = [new_threshold._limit_of_rearranged(one, one.current) for one in (strict, trained)]
    assert limits[1] < limits[0]


@pytest.mark.parametrize("told", [False, True])
def test_what_the_person_said_is_a_call_is_learned_from_whatever_it_resembles(told: bool) -> None:
    learner = Learner(known(), (known().current, known().threshold), AdaptOptions())
    for power, said in ((gathered().positives[:5], False), (gathered().negatives[:1], told)):
        for one in power:
            learner.recall(Labelled(Segment(0, 0.0, 0.0, (), one), "positive", "earlier", {}, told=said))
    assert len(learner.gathered().positives) == 5 + told


@pytest.mark.parametrize("method", FORWARD)
def test_inference_only_saves_nothing_for_a_backward_pass(method: str) -> None:
    saved = []
    known(), gathered()  # made before, with what they need
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda kept: kept):
        proposal = updating.propose(known(), gathered(), method)
    assert not saved
    assert torch.is_grad_enabled()
    assert proposal.delta is not None
    changed = known().current.with_delta(proposal.delta)
    assert any(not torch.equal(w, known().current.weights[n]) for n, w in changed.weights.items())


@pytest.mark.parametrize("held_out", [False, True])
def test_a_part_of_the_material_keeps_its_own_embeddings(held_out: bool) -> None:
    whole = updating.material_of(known(), gathered(), teach=False)
    part = forward._part(whole, held_out=held_out).task
    assert 0 < len(part.negatives) < len(whole.task.negatives)
    kept = part.__dict__["negative_embeddings"]  # not computed again
    assert torch.allclose(kept, embed(part.network, part.negatives), atol=1e-5)


def test_the_prototype_is_the_mean_of_the_surest_calls_without_what_is_taken_for_something_else() -> None:
    material = updating.material_of(known(), gathered(), teach=False)
    power = torch.cat([material.task.power, gathered().negatives])
    task = dataclasses.replace(material.task, power=power)
    found = _margins(known(), known().current, middle(power, known().current.n_frames))
    n_enrolled = len(known().replay)
    sure = [i for i, margin in enumerate(found) if i < n_enrolled or margin >= known().threshold - 2]
    assert n_enrolled < len(sure) < len(power)
    change = prototypes.adapt(dataclasses.replace(material, task=task))
    assert change is not None
    rows = [change.changes["head.weight"]] + [
        prototype.learn(dataclasses.replace(task, power=power[some])).changes["head.weight"]
        for some in (sure, list(range(len(power))), sure[:n_enrolled])
    ]
    assert torch.allclose(rows[0], rows[1], atol=1e-4)
    assert not any(torch.allclose(rows[0], other, atol=1e-2) for other in rows[2:])


def test_an_adapter_saves_something() -> None:
    saved = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        updating.propose(known(), gathered(), "bias")
    assert saved


def test_a_threshold_alone_leaves_the_model_as_it_is() -> None:
    proposal = updating.propose(known(), gathered(), "threshold")
    assert proposal.delta is None
    free = Tolerances(calls=1, expected=1, false_alarms=1, gain=-1)
    decided = updating.decide(known(), gathered(), proposal, free, known().current)
    assert updating.after(known(), decided).threshold == proposal.threshold


def test_where_no_gain_can_show_a_threshold_alone_is_nothing_gained_but_a_model_is() -> None:
    person, full = known(), Tolerances(gain=1.0)
    same = Delta(person.current.sha256, {}, made_by={})
    reasons = [
        updating.decide(
            person, gathered(), Proposal("head", delta, person.threshold), full, person.current
        ).reason
        for delta in (None, same)
    ]
    assert reasons == ["nothing is gained by it", ""]


def test_a_new_threshold_spends_no_more_of_the_budget_than_the_one_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rearranged clips of the toy voices may ask for more than either.
    monkeypatch.setattr(new_threshold, "_limit_of_rearranged", lambda *_: -np.inf)

    def chosen(threshold: float) -> float:
        person = dataclasses.replace(known(), threshold=threshold, made={})
        return threshold_of(
            person, person.current, dataclasses.replace(gathered(), negatives=gathered().negatives[:0])
        )

    generous, usual, strict = chosen(-30.0), chosen(known().threshold), chosen(30.0)
    assert generous <= usual <= strict
    assert generous < strict < 30.0  # the budget bounds the one, what is rare anyway the other


def test_what_is_guessed_of_rare_words_brings_a_threshold_no_nearer_to_the_calls_than_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row whose margins are twice as wide, and for which a rare word is guessed far out."""
    nothing = gathered().negatives[:0]
    taken = gathered().negatives.repeat(3, 1, 1)  # they have no say here
    heard = Gathered(positives=taken, negatives=nothing, unlabelled=nothing, room=None)
    current = known().current
    row = current.labels.index(WORDS[0])
    weights = {name: weight.clone() for name, weight in current.weights.items()}
    weights["head.weight"][row] *= 2
    weights["head.bias"][row] *= 2
    wider = dataclasses.replace(current, weights=weights)
    enrolled = calls_of(known(), dataclasses.replace(heard, positives=nothing))
    usual, usual_wider = (float(np.median(_margins(known(), b, enrolled))) for b in (current, wider))
    monkeypatch.setattr(new_threshold, "_limit_of_rearranged", lambda *_: -np.inf)

    monkeypatch.setattr(new_threshold, "_allowed", lambda *_: known().budget / 100)

    def chosen(threshold: float, rare: float) -> float:
        def limit(person: Known, bundle: Bundle, _: torch.Tensor, budget: float) -> float:
            if bundle is person.current:
                return usual - 2.0
            return usual_wider - 6.0 if budget == person.budget else rare

        monkeypatch.setattr(new_threshold, "_limit", limit)
        return threshold_of(dataclasses.replace(known(), threshold=threshold, made={}), wider, heard)

    far = usual_wider + 20.0
    assert chosen(usual - 1.0, far) == pytest.approx(usual_wider - 3.0)  # half of the way, as it was
    assert chosen(usual - 1.0, usual_wider - 5.0) == pytest.approx(usual_wider - 5.0)
    assert chosen(usual - 1.0, usual_wider - 9.0) == pytest.approx(usual_wider - 6.0)  # within the budget
    assert chosen(usual - 2.5, far) == pytest.approx(
        far
    )  # of a threshold that leaves too much, nothing is kept


def test_as_many_rearranged_clips_reach_a_new_threshold_as_reach_the_one_in_use() -> None:
    """How a clip is cut to pieces is drawn; another draw is no reason to hear less or more."""
    person = dataclasses.replace(known(), budget=0.01, made={})
    mixed = held_out(person, "rearranged", person.mixed[1::2], None, person.current.n_frames)
    found = new_threshold._peaks(person, person.current, mixed)
    row = person.current.labels.index(WORDS[0])
    weights = {name: weight.clone() for name, weight in person.current.weights.items()}
    weights["head.bias"][row] += 3.0
    higher = dataclasses.replace(person.current, weights=weights)
    may = share_of_rearranged(person.budget, is_known=False)
    few, usual, many = (threshold_for(found, share) for share in (may / 100, may, 4 * may))
    assert many < usual < few

    def chosen(threshold: float, bundle: Bundle) -> float:
        return new_threshold._limit_of_rearranged(dataclasses.replace(person, threshold=threshold), bundle)

    raised = float(np.median(new_threshold._peaks(person, higher, mixed) - found))
    assert raised > 1.0
    for threshold in (usual, many):
        assert chosen(threshold, person.current) == pytest.approx(threshold, abs=0.05)
        assert chosen(threshold, higher) == pytest.approx(threshold + raised, abs=0.3)
    floor = chosen(few, person.current)
    assert floor == pytest.approx(threshold_for(found, may / 2))
    assert floor < few


def test_a_trunk_that_learned_a_room_lets_calls_say_how_far_up_the_threshold_is() -> None:
    """Rearranged clips and the threshold in use have no say; other words of the stream still have."""
    nothing = gathered().negatives[:0]
    heard = dataclasses.replace(gathered(), negatives=nothing, unlabelled=nothing)

    def chosen(given: Gathered = heard, *, threshold: float = 0.0, tuned: bool = True) -> float:
        person = dataclasses.replace(known(), threshold=threshold, budget=0.01, made={})
        return threshold_of(person, person.current, given, tuned=tuned)

    person = dataclasses.replace(known(), budget=0.01, made={})
    calls = calls_of(person, heard)
    margins = _margins(person, person.current, calls)
    stored = held_out(person, "threshold", person.others[1::4], heard.room, person.current.n_frames)
    limit = _limit(person, person.current, stored, 0.01)
    assert chosen() == pytest.approx(limit + TOWARDS_CALLS * (np.median(margins) - limit))
    assert chosen(threshold=-30.0) == chosen(threshold=30.0) != chosen(tuned=False)
    like_calls = heard.positives.repeat(HELD_BACK * ENOUGH_HEARD // len(heard.positives), 1, 1)
    assert chosen(dataclasses.replace(heard, negatives=like_calls)) > chosen()
    # A row that was trained on many people has other margins than one of a few clips.
    trained = dataclasses.replace(person, base=toy_people.keyword_model(), made={})
    limits = [threshold_of(trained, trained.current, heard, tuned=tuned) for tuned in (False, True)]
    assert limits[0] == limits[1]


def test_the_threshold_in_a_loud_room_stands_out_of_the_stream_however_many_calls_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person, nothing = dataclasses.replace(known(), made={}), gathered().negatives[:0]
    bare = dataclasses.replace(gathered(), negatives=nothing, unlabelled=nothing, room=None)

    def chosen(unlabelled: torch.Tensor) -> float:
        given = dataclasses.replace(bare, unlabelled=unlabelled)
        return threshold_of(person, person.current, given, tuned=True)

    usual = float(np.median(_margins(person, person.current, calls_of(person, bare))))
    monkeypatch.setattr(new_threshold, "_limit", lambda *_: usual - 4.0)
    low, most = (usual - 4.0 * (1 - way) for way in (TOWARDS_CALLS, AT_MOST_TOWARDS_CALLS))
    assert chosen(nothing) == pytest.approx(low)
    stream = torch.cat([gathered().positives, gathered().negatives]).repeat(2, 1, 1)[:ENOUGH]
    said = _margins(person, person.current, middle(stream, person.current.n_frames))
    for deviations, expected in ((-9.0, low), (9.0, most)):
        monkeypatch.setattr(new_threshold, "OUTSTANDING", deviations)
        assert chosen(stream) == pytest.approx(expected)
        assert chosen(stream[:-1]) == pytest.approx(low)  # too little was heard
    between = (low + most) / 2
    monkeypatch.setattr(new_threshold, "OUTSTANDING", (between - said.mean()) / said.std())
    assert chosen(stream) == pytest.approx(between)


def test_an_update_that_forgets_the_word_is_rolled_back() -> None:
    rows = len(known().current.labels)
    ruined = {"head.weight": torch.randn(rows, 24, generator=torch.Generator().manual_seed(1)) * 9}
    proposal = Proposal("head", Delta(known().current.sha256, ruined), known().threshold)
    decided = updating.decide(known(), gathered(), proposal, Tolerances(), known().current)
    assert decided.reason
    assert updating.after(known(), decided) is known()


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ExtensionError, match="'forward'"):
        updating.propose(known(), gathered(), "foward")


def test_the_canary_holds_nothing_that_is_learned_from() -> None:
    canary = updating.canary_of(known(), gathered())
    learned = updating.material_of(known(), gathered(), teach=False).task
    calls = {tuple(one.flatten()[:200].tolist()) for one in learned.positives}
    assert not calls & {tuple(one.flatten()[:200].tolist()) for one in canary.calls}


def test_powers_add_up_in_a_room() -> None:
    draw = torch.Generator().manual_seed(0)
    clip, room = torch.ones(2, 4, 90), torch.full((3, 4, CHUNK_FRAMES), 2.0)
    heard = in_room(clip, room, draw, level_db=0.0)
    torch.testing.assert_close(heard, torch.full((2, 4, 90), 3.0))


def test_a_room_is_what_is_there_when_nobody_speaks() -> None:
    room = Room()
    quiet, loud = torch.full((4, CHUNK_FRAMES), 1.0), torch.full((4, CHUNK_FRAMES), 100.0)
    for _ in range(20):
        room.push(torch.cat([loud, quiet, loud], 1))
    recorded = room.recorded()
    assert recorded is not None
    assert float(recorded.max()) == 1.0
    assert room.recorded() is recorded


def test_negatives_become_as_loud_as_the_person() -> None:
    power = torch.full((2, 4, 30), 5.0)
    other = torch.zeros(3, 4, 30)
    torch.testing.assert_close(to_level(other, power), torch.full((3, 4, 30), 5.0))


@pytest.mark.parametrize("method", ["full", "shift"])
def test_an_update_in_eight_bits_is_near_that_of_full_precision_and_says_so(method: str) -> None:
    plain = updating.propose(known(), gathered(), method).delta
    found = updating.propose(known(), gathered(), method, "w8a8g8", Quantization(estimator="current")).delta
    assert plain is not None and found is not None
    assert "precision" not in plain.made_by
    assert found.made_by["precision"] == "w8a8g8"
    assert found.made_by["quantization"]["estimator"] == "current"
    assert set(found.changes) == set(plain.changes)  # the profile gets weights, not ranges
    one, other = (torch.cat([d.changes[n].flatten() for n in sorted(d.changes)]) for d in (plain, found))
    assert 0.7 < float(torch.nn.functional.cosine_similarity(one, other, 0)) < 1


def test_adapting_in_a_precision_needs_something_to_compute_in_it() -> None:
    for method in ("head", "forward", "threshold"):
        with pytest.raises(InputError, match=f"'{method}' tunes nothing inside the network.*--method full"):
            AdaptOptions(method=method, precision="w8a8g8")
    with pytest.raises(InputError, match="no precision 'w9a8g8'"):
        AdaptOptions(method="full", precision="w9a8g8")
    assert AdaptOptions(method="shift", precision="w4a8g8").precision == "w4a8g8"


def test_a_threshold_that_leaves_less_room_costs_calls_though_every_clip_at_hand_passes_it() -> None:
    """The clips were enrolled, or sure: the person's other calls are lost long before them."""
    person, canary = known(), updating.canary_of(known(), gathered())
    network = person.current.model()
    logits = network.head(network.embed(canary.calls)).detach()  # type: ignore[operator, union-attr]
    lowest = float(margins(person.current, person.keyword, logits).min())
    far, near = (
        guard.figures(canary, person.current, person.keyword, limit, person.base, person.embedded)
        for limit in (lowest - 6.0, lowest - 0.1)
    )
    assert far.heard > 0.999
    assert near.heard < far.heard - Tolerances().expected
    assert near.calls == far.calls and near.expected == far.expected
