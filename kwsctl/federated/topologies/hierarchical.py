"""Edge servers, one in each house or town, that average their clients before they call the cloud."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated.admission import Gate
from kwsctl.federated.aggregators._combining import client_weights, weighted_mean
from kwsctl.federated.attendance import Asked, attend
from kwsctl.federated.devices import answers
from kwsctl.federated.layout import NUMBER_BYTES, stacked
from kwsctl.federated.reception import receive
from kwsctl.federated.server import apply, merge
from kwsctl.federated.session import Session
from kwsctl.federated.state import RoundFacts, State


@dataclass(frozen=True)
class Options:
    """How many edges.

    Attributes:
        edges: edge servers; clients belong to them by their place in the list.
        edge_rounds: rounds of an edge for each round of the cloud.
    """

    edges: int = 4
    edge_rounds: int = 2

    def __post_init__(self) -> None:
        if self.edges < 1 or self.edge_rounds < 1:
            raise InputError(
                f"edges = {self.edges}, edge_rounds = {self.edge_rounds}.", "Use at least 1 of each."
            )


def advance(session: Session, state: State, options: Options) -> tuple[State, RoundFacts]:
    """Plays one cloud round of some edge rounds (HierFAVG: Liu et al. 2020, arXiv 1905.06641, alg. 1).

    The bytes counted are those between edges and cloud, which are the scarce ones; each edge round costs
    its clients the shared weights once each way on the local network.

    Args:
        session: what does not change.
        state: before the round.
        options: edges and their rounds.

    Returns:
        The state after it, and what happened.
    """
    number = state.number
    asked = attend(session.clients, session.options.attendance, number, session.seed)
    place = {client.name: n % options.edges for n, client in enumerate(session.clients)}
    sha = session.bundle(state.public).sha256
    edges: list[Delta] = []
    losses: list[float] = []
    refused: dict[str, str] = {}
    answered = 0
    for edge in range(options.edges):
        members = [one for one in asked if place[one.client.name] == edge]
        found = _edge_round(session, state, members, sha, options.edge_rounds)
        refused |= found.refused
        losses += found.losses
        if found.delta is not None:
            answered += found.answered
            made_by = {"client": f"edge {edge + 1}", "steps": 1}
            edges.append(dataclasses.replace(found.delta, made_by=made_by))
    received = receive(session, state, edges, state.devices, sha)
    facts = RoundFacts(
        round=number + 1,
        asked=len(asked),
        answered=answered,
        dropped=tuple(one.client.name for one in asked if not one.answers),
        refused=refused,
        loss=sum(losses) / len(losses) if losses else None,
        bytes_up=received.bytes_up,
        bytes_down=NUMBER_BYTES * session.layout.size * len(edges),
    )
    after = dataclasses.replace(state, number=number + 1, devices=received.devices)
    if not received.deltas:
        return after, dataclasses.replace(facts, lost="no change could be used")
    merged = merge(session, state, received.deltas, number)
    weights, public, _ = apply(session, state, session.layout.vector(merged.delta.changes))
    after = dataclasses.replace(after, weights=weights, public=public, server=merged.server)
    return after, dataclasses.replace(facts, influence=merged.delta.made_by.get("influence", {}))


@dataclass(frozen=True, eq=False)
class _Edge:
    delta: Delta | None
    answered: int
    losses: list[float]
    refused: dict[str, str]


def _edge_round(session: Session, state: State, members: Sequence[Asked], sha: str, rounds: int) -> _Edge:
    """Averages the members of an edge several times over, from the weights of the cloud."""
    moved, clips, answered = torch.zeros(session.layout.size), 0, 0
    losses: list[float] = []
    refused: dict[str, str] = {}
    for again in range(rounds):
        there = sum(one.answers for one in members)
        starts = session.complete(state.public + moved).expand(there, -1)
        found = answers(session, state, members, sha, number=state.number, starts=starts, take_part=again)
        used = []
        for delta in found.deltas:
            reason = _refusal(session, delta, sha)
            if reason is None:
                used.append(delta)
            else:
                refused[str(delta.made_by["client"])] = reason
        if not used:
            continue
        rows: Tensor = stacked(used)[0]
        moved = moved + weighted_mean(rows, client_weights(used))
        clips, answered = sum(delta.n_clips for delta in used), len(used)
        losses += [found.loss] if found.loss is not None else []
    total = Delta(sha, session.layout.tensors(moved), (), clips, {}) if clips else None
    return _Edge(total, answered, losses, refused)


def _refusal(session: Session, delta: Delta, sha: str) -> str | None:
    gate = Gate(sha, session.layout)
    size = NUMBER_BYTES * sum(change.numel() for change in delta.changes.values())
    return gate.refusal_of_size(size) or gate.refusal(delta)
