"""What a model becomes by each of the methods that are compared, from the same segments of a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kwsctl.bundle import Bundle, Delta
from kwsctl.features.augmentation import middle
from kwsctl.learning import updating
from kwsctl.learning.adapters import full
from kwsctl.learning.adapters._tuning import changes, tuned
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.forward._change import copied, delta_of, norms
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.new_threshold import threshold_of
from kwsctl.learning.updating import Proposal

TENT_STEPS, TENT_RATE = 20, 1e-3
UNGUARDED = "-unguarded"
ORACLE = "oracle-"
BENCH_ONLY = ("tent", "naive")
WITHOUT_ROOM = "-without-room"
UNTUNED = "-untuned"


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A model after adaptation.

    Attributes:
        bundle: the model.
        threshold: of its margin.
        rolled_back: why the guard refused; empty if it did not.
        bytes: of the change.
        macs: multiplications and additions of the update, the guard left out.
        drift: 1 less the mean cosine of embeddings to those of the global model.
        forgotten: fall of the share of words told right, on the stored words of many people.
    """

    bundle: Bundle
    threshold: float
    rolled_back: str
    bytes: int
    macs: int
    drift: float
    forgotten: float


def outcome(method: str, known: Known, gathered: Gathered, truth: Gathered) -> Outcome:
    """Adapts by one method.

    Args:
        method: `none`, `tent`, `naive`, or what `kwsctl adapt --method` takes; with `oracle-` before it, it
            learns from the true labels; with `-without-room` after it, from the stream's segments only, with
            `-untuned` on the trunk as it is; with `-unguarded` after it, nothing is rolled back.
        known: the person as enrolled.
        gathered: segments with pseudo-labels.
        truth: the same stream with true labels.

    Returns:
        What it became.
    """
    name = method.removesuffix(UNGUARDED)
    given = truth if name.startswith(ORACLE) else gathered
    if name.endswith(WITHOUT_ROOM):
        given = dataclasses.replace(given, room=None)
    ways = (0.0,) if name.endswith(UNTUNED) else updating.WAYS_INTO_A_ROOM
    free = method.endswith(UNGUARDED) or method.startswith(ORACLE)
    name = name.removeprefix(ORACLE).removesuffix(WITHOUT_ROOM).removesuffix(UNTUNED)
    # What others computed for this person before must not make a method look cheap.
    fresh, macs = dataclasses.replace(known, made={}), 0
    for way in ways:
        with FlopCounterMode(display=False) as counter:
            proposal = _proposal(fresh, given, gathered, name, way)
        macs += counter.get_total_flops() // 2
        decided = updating.decide(known, given, proposal, Tolerances(), known.current)
        if free or not decided.reason or not proposal.tuned:
            break
    if free:
        decided = dataclasses.replace(decided, reason="")
    after = updating.after(known, decided)
    size = 0 if proposal.delta is None else sum(t.nbytes for t in proposal.delta.changes.values())
    figures = decided.before if decided.reason else decided.after
    forgotten = decided.first.global_task - figures.global_task
    return Outcome(after.current, after.threshold, decided.reason, size, macs, figures.drift, forgotten)


def _proposal(known: Known, given: Gathered, gathered: Gathered, name: str, way: float) -> Proposal:
    if name == "none":
        return Proposal(name, None, known.threshold)
    if name not in BENCH_ONLY:
        return updating.propose(known, given, name, tune_room=way)
    delta = tent(known, gathered) if name == "tent" else naive(known, given)
    return Proposal(name, delta, threshold_of(known, known.current.with_delta(delta), given))


def tent(known: Known, gathered: Gathered) -> Delta:
    """Minimizes the entropy of the keyword's score on the stream over scale and shift of the normalizations.

    Wang et al. 2021, "Tent: fully test-time adaptation by entropy minimization", equation 1; with the
    statistics of the stream, as there.

    Args:
        known: the person.
        gathered: only its unlabelled segments are used.

    Returns:
        The change.
    """
    task = updating.material_of(known, gathered, teach=False).task
    windows = middle(gathered.unlabelled, known.current.n_frames)
    network = copied(task)
    free = []
    for layer in norms(network):
        layer.train()
        cast(nn.BatchNorm1d, layer).momentum = 0.1
        free += [cast(nn.Parameter, layer.weight), cast(nn.Parameter, layer.bias)]
    for part in free:
        part.requires_grad_(True)
    optimizer = torch.optim.Adam(free, lr=TENT_RATE)
    forward: Callable[[Any], Any] = network
    for _ in range(TENT_STEPS):
        chance = forward(windows)[:, task.row].sigmoid().clamp(1e-6, 1 - 1e-6)
        entropy = -(chance * chance.log() + (1 - chance) * (1 - chance).log()).mean()
        optimizer.zero_grad()
        entropy.backward()
        optimizer.step()
    return delta_of(task, network.eval().requires_grad_(False), "tent")


def naive(known: Known, gathered: Gathered) -> Delta:
    """Tunes every weight on what was heard, without distillation and without holding anything back.

    Args:
        known: the person.
        gathered: segments with labels.

    Returns:
        The change.
    """
    task = updating.material_of(known, gathered, teach=False).task
    network = tuned(task, dataclasses.replace(full.tuning(task), stay=0.0, distillation=0.0))
    return task.delta(changes(task, network), "naive")
