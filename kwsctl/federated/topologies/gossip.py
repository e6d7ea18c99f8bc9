"""No server: neighbours exchange compressed differences of their models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.attendance import attend
from kwsctl.federated.devices import answers
from kwsctl.federated.session import Session
from kwsctl.federated.state import RoundFacts, State


@dataclass(frozen=True)
class Options:
    """Who is whose neighbour.

    Attributes:
        graph: `ring` has two neighbours each; `exponential` those at distances of powers of two.
        step: how far a model moves towards its neighbours; less for coarser compression, 1 for none.
    """

    graph: Literal["ring", "exponential"] = "exponential"
    step: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise InputError(f"step = {self.step:g} mixes nothing.", "Use more than 0, at most 1.")


def advance(session: Session, state: State, options: Options) -> tuple[State, RoundFacts]:
    """Lets all learn and mix with their neighbours (CHOCO-SGD: Koloskova et al. 2019, arXiv 1902.00340).

    The shared weights that are evaluated are the mean over all clients; every client's own model is
    evaluated, too, at the end of a run.

    Args:
        session: what does not change.
        state: before the round.
        options: the graph.

    Returns:
        The state after it, and what happened.
    """
    number, names = state.number, [client.name for client in session.clients]
    models = torch.stack([state.devices.get(name, {}).get("model", state.weights) for name in names])
    asked = attend(session.clients, session.options.attendance, number, session.seed)
    there = [names.index(one.client.name) for one in asked if one.answers]
    starts = torch.stack([session.complete(models[k]) for k in there]) if there else None
    sha = session.bundle(state.public).sha256
    found = answers(session, state, asked, sha, number=number, starts=starts)
    learned = models.clone()
    for delta in found.deltas:
        learned[names.index(str(delta.made_by["client"]))] += session.layout.vector(delta.changes)
    mixing = mixing_matrix(len(names), options.graph)
    mixed, copies, sent = _mixed(session, state, names, learned, mixing, options.step)
    devices = {
        name: {**found.devices.get(name, {}), "model": mixed[k], "copy": copies[k]}
        for k, name in enumerate(names)
    }
    mean = mixed.mean(0)
    facts = RoundFacts(
        round=number + 1,
        asked=len(asked),
        answered=len(there),
        dropped=tuple(one.client.name for one in asked if not one.answers),
        loss=found.loss,
        bytes_up=sent,
        labels_made_up=found.made_up,
    )
    return dataclasses.replace(state, number=number + 1, weights=mean, public=mean, devices=devices), facts


def mixing_matrix(count: int, graph: str) -> Tensor:
    """Gives the doubly stochastic [K, K] matrix of a graph: each mixes with its neighbours alike."""
    if graph == "ring":
        steps = [1, -1]
    else:
        steps = [
            s for power in range(max(1, math.ceil(math.log2(max(2, count))))) for s in (2**power, -(2**power))
        ]
    joined = torch.zeros(count, count)
    for k in range(count):
        for step in steps:
            joined[k, (k + step) % count] = 1.0
    joined.fill_diagonal_(0.0)
    share = 1 / (float(joined.sum(1).max()) + 1)
    return share * joined + torch.diag(1 - share * joined.sum(1))


def spread(devices: Mapping[str, Mapping[str, Tensor]]) -> float:
    """Gives how far models are apart: root mean square distance to their mean, over its length."""
    models = torch.stack([kept["model"] for kept in devices.values() if "model" in kept])
    mean = models.mean(0)
    return float((models - mean).norm(dim=1).square().mean().sqrt() / mean.norm().clamp_min(1e-12))


def _mixed(
    session: Session, state: State, names: list[str], learned: Tensor, mixing: Tensor, step: float
) -> tuple[Tensor, Tensor, int]:
    """Sends what neighbours do not know yet of each model, and moves each towards its neighbours."""
    copies = torch.stack([state.devices.get(name, {}).get("copy", state.weights) for name in names])
    n_neighbours = ((mixing > 0).sum(1) - (mixing.diagonal() > 0).long()).tolist()
    known, sent = copies.clone(), 0
    for k in range(len(names)):
        payload, read, _ = session.up.send(learned[k] - copies[k], None)
        known[k] = learned[k] if session.options.uplink == "none" else copies[k] + read
        sent += len(payload) * n_neighbours[k]
    return learned + step * (mixing @ known - known), known, sent
