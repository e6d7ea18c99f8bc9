"""One update of a person's model from what a stream gave: proposed by an adapter, decided by the guard."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import ExtensionError
from kwsctl.features.augmentation import middle
from kwsctl.learning import canary, guard, room_regression, room_tuning
from kwsctl.learning.adapters._enrolment import Enrolment, embed
from kwsctl.learning.canary import RARER, RARER_TUNED
from kwsctl.learning.enrolment_trials import ADAPTERS
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.new_threshold import HELD_BACK, ROOM_COPIES, calls_of, held_out, threshold_of
from kwsctl.learning.precision import FULL, Quantization
from kwsctl.learning.room_words import part_way
from kwsctl.learning.surroundings import in_room, matters
from kwsctl.seeding import torch_generator

FORWARD = "kwsctl.learning.forward"
WAYS_INTO_A_ROOM = (1.0, 0.5, 0.25, 0.0)
"""How far a trunk goes to learn a room, tried one after the other: where all the way makes it forget words,
half or a quarter may not; not at all leaves the trunk as it is."""
DEEP = ("bias", "lora", "full", "interpolated", "ewc", "shift", "sparse")
"""Adapters that change the trunk, and are taught by the global model."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """What an update would change.

    Attributes:
        method: how it was made.
        delta: of the model; None if only the threshold changes.
        threshold: of the margin.
        tuned: whether the trunk has learned a room in this update.
        rarer: how much rarer than the budget false alarms are at which calls to expect are told.
    """

    method: str
    delta: Delta | None
    threshold: float
    tuned: bool = False
    rarer: float = RARER


@dataclass(frozen=True, eq=False)
class Decided:
    """An update, and what the guard said.

    Attributes:
        proposal: what was proposed.
        reason: why it was rolled back; empty if it was taken.
        before: canary figures of the model in use.
        after: of the model proposed.
        first: of the model as it was enrolled.
    """

    proposal: Proposal
    reason: str
    before: canary.CanaryFigures
    after: canary.CanaryFigures
    first: canary.CanaryFigures


@dataclass(frozen=True, eq=False)
class Material:
    """What a method learns from; the canary is not in it.

    Attributes:
        task: as adapters take it.
        known: the person.
        unlabelled: [U, F, T] features of the stream.
    """

    task: Enrolment
    known: Known
    unlabelled: Tensor


class ForwardMethod(Protocol):
    """A file in `learning/forward/`."""

    def adapt(self, material: Material) -> Delta | None:
        """Makes the change with forward passes only."""


def material_of(known: Known, gathered: Gathered, *, teach: bool) -> Material:
    """Puts enrolled clips, pseudo-positives and negatives together, as they are and in the room.

    Args:
        known: the person.
        gathered: from the stream.
        teach: let the global model say what the embeddings of the negatives should be.

    Returns:
        What a method learns from.
    """
    kept = [i for i in range(len(gathered.positives)) if i % HELD_BACK != HELD_BACK - 1]
    room = gathered.room
    n_frames = known.current.n_frames
    calls, others = [known.replay], [known.others[::2]]
    if not known.is_trained:
        others.append(known.mixed[::2])
    if room is not None:
        in_quiet = known.once("quiet others to fit", None, lambda: middle(torch.cat(others), n_frames))
        draw = torch_generator(known.seed, "room of the update")
        copies = known.replay.repeat(ROOM_COPIES, 1, 1)
        calls.append(known.once("calls in room", room, lambda: in_room(copies, room, draw)))
        others.append(known.once("others in room", room, lambda: in_room(torch.cat(others), room, draw)))
    stored = known.once("others to fit", room, lambda: middle(torch.cat(others), n_frames))
    says = known.base if teach else known.current
    if teach and room is not None:  # words in the room are to come out as they do in quiet
        taught = [known.embedded(says, in_quiet)] * 2
    else:
        taught = [known.embedded(says, stored)]
    hard = [i for i in range(len(gathered.negatives)) if i % HELD_BACK != HELD_BACK - 1]
    heard = middle(gathered.negatives[hard], n_frames)
    power = torch.cat([*calls, gathered.positives[kept]])
    task = Enrolment(known.current, known.keyword, power, torch.cat([stored, heard]), known.seed)
    if len(heard):
        taught.append(embed(says.network, heard))
    return Material(task.knowing(torch.cat(taught)), known, middle(gathered.unlabelled, n_frames))


def propose(
    known: Known,
    gathered: Gathered,
    method: str,
    precision: str = FULL,
    quantization: Quantization | None = None,
    *,
    tune_room: float = 0.0,
) -> Proposal:
    """Lets a method learn, and chooses the threshold anew.

    Args:
        known: the person.
        gathered: from the stream.
        method: an adapter of enrolment, a file in `learning/forward/`, or `threshold`.
        precision: of an adapter that tunes the network.
        quantization: how numbers are put on grids.
        tune_room: how far the trunk goes to learn the room first, where that is loud: 1 is all the way. By
            gradients for an adapter, by regression for `forward`; with rounded numbers it does not.

    Returns:
        What to change.

    Raises:
        ExtensionError: no such method.
    """
    delta, trunk, room = None, None, gathered.room
    if method != "threshold":
        on = known
        learn_room = _room_learner(method) if tune_room and precision == FULL else None
        if learn_room is not None and room is not None and matters(room, known.replay):
            # Every way into a room is a part of the same change, which is most of the work.
            by = ("room", learn_room.__module__, known.current.sha256)
            trunk = part_way(known.once(by, room, functools.partial(learn_room, known, room)), tune_room)
            on = dataclasses.replace(known, current=known.current.with_delta(trunk), tuned=True)
        delta = _learned(on, gathered, method, precision, quantization or Quantization())
        if trunk is not None:
            delta = trunk if delta is None else _on_top(known.current, trunk, delta)
    bundle = known.current if delta is None else known.current.with_delta(delta)
    with torch.no_grad():
        tuned = known.tuned or trunk is not None
        rarer = RARER_TUNED if tuned else RARER
        threshold = threshold_of(known, bundle, gathered, rarer=rarer, tuned=tuned)
        return Proposal(method, delta, threshold, tuned=trunk is not None, rarer=rarer)


def _room_learner(method: str) -> Callable[[Known, Tensor], Delta] | None:
    """Gives how the trunk learns a room before a method does: by gradients if the method uses them, too."""
    if method == "forward":
        return room_regression.learn
    return room_tuning.learn if method in registry.names(ADAPTERS) else None


def _on_top(current: Bundle, first: Delta, then: Delta) -> Delta:
    """Makes one change of two, the second of which was made on top of the first."""
    made_by = {**then.made_by, "room": "learned"}
    found = {**first.changes, **then.changes}
    if len(found) < len(first.changes) + len(then.changes):
        last, before = current.with_delta(first).with_delta(then).weights, current.weights
        found = {n: w - before[n] for n, w in last.items() if not torch.equal(w, before[n])}
    return dataclasses.replace(then, base_sha256=first.base_sha256, changes=found, made_by=made_by)


def _learned(
    known: Known, gathered: Gathered, method: str, precision: str, quantization: Quantization
) -> Delta | None:
    if method in registry.names(FORWARD):
        with torch.no_grad():
            chosen = cast(ForwardMethod, registry.load(FORWARD, method))
            return chosen.adapt(material_of(known, gathered, teach=False))
    if method not in registry.names(ADAPTERS):
        both = sorted({*registry.names(ADAPTERS), *registry.names(FORWARD), "threshold"})
        raise ExtensionError(
            f"No method named {method!r}.", f"{registry.did_you_mean(method, both)}Known: {', '.join(both)}."
        )
    task = material_of(known, gathered, teach=method in DEEP).task
    task = task.in_precision(precision, quantization)
    return cast(Delta, registry.load(ADAPTERS, method).learn(task))


def canary_of(known: Known, gathered: Gathered) -> guard.Canary:
    """Puts aside what no update learns from.

    Stored negatives are those that neither a row nor a threshold was fitted to.

    Args:
        known: the person.
        gathered: from the stream.

    Returns:
        The canary.
    """
    n_frames, calls = known.current.n_frames, calls_of(known, gathered)
    others = held_out(known, "canary", known.others[3::4], gathered.room, n_frames)
    words = known.once("words", None, lambda: known.negatives.features(n_frames))
    return guard.Canary(calls, others, words, list(known.negatives.labels), known.budget)


def decide(
    known: Known,
    gathered: Gathered,
    proposal: Proposal,
    tolerances: canary.Tolerances,
    first: Bundle,
) -> Decided:
    """Lets the guard decide.

    Args:
        known: the person.
        gathered: from the stream.
        proposal: what would change.
        tolerances: what it may cost.
        first: the person's model as it was enrolled.

    Returns:
        What it said.
    """
    kept = canary_of(known, gathered)
    after = known.current if proposal.delta is None else known.current.with_delta(proposal.delta)
    scored = [
        guard.figures(
            kept, bundle, known.keyword, threshold, known.base, known.embedded, rarer=proposal.rarer
        )
        for bundle, threshold in (
            (known.current, known.threshold), (after, proposal.threshold), (first, known.threshold),
        )
    ]  # fmt: skip
    learned = proposal.delta is not None
    reason = canary.objection(scored[0], scored[1], known.budget, tolerances, scored[2], learned=learned)
    return Decided(proposal, reason, *scored)


def after(known: Known, decided: Decided) -> Known:
    """Gives what is known after an update that was taken."""
    if decided.reason:
        return known
    delta = decided.proposal.delta
    current = known.current if delta is None else known.current.with_delta(delta)
    tuned = known.tuned or decided.proposal.tuned
    return dataclasses.replace(known, current=current, threshold=decided.proposal.threshold, tuned=tuned)
