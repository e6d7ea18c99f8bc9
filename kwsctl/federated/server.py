"""What the server does in a round: let changes in, leave odd ones out, make one change of the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated import anomaly, privacy
from kwsctl.federated.admission import Gate
from kwsctl.federated.layout import layout_of
from kwsctl.federated.secure_aggregation.fixed_point import Grid
from kwsctl.federated.secure_aggregation.protocol import secure_sum
from kwsctl.federated.session import Session
from kwsctl.federated.state import State
from kwsctl.seeding import numpy_generator, torch_generator

NUMBER_BYTES = 4


@dataclass(frozen=True, eq=False)
class Received:
    """What arrived.

    Attributes:
        deltas: changes that are used.
        devices: what each device keeps, with what its channel left over.
        refused: why, by client.
        left_out: anomaly score, by client.
        strikes: after this round.
        bytes_up: of all payloads.
    """

    deltas: tuple[Delta, ...]
    devices: Mapping[str, Mapping[str, Tensor]]
    refused: Mapping[str, str]
    left_out: Mapping[str, float] = field(default_factory=dict)
    strikes: Mapping[str, int] = field(default_factory=dict)
    bytes_up: int = 0


def receive(
    session: Session,
    state: State,
    sent: Sequence[Delta],
    devices: Mapping[str, Mapping[str, Tensor]],
    base_sha256: str,
) -> Received:
    """Takes what clients sent through the channel and the gate.

    Args:
        session: what does not change.
        state: before the round.
        sent: changes, as the devices made them.
        devices: what each device keeps.
        base_sha256: the bundle that was sent out.

    Returns:
        What is used, and who was refused or left out, and why.
    """
    most_clips = 10 * max(len(client.rows) for client in session.clients)
    gate = Gate(base_sha256, session.layout, most_clips)
    kept = {name: dict(own) for name, own in devices.items()}
    refused: dict[str, str] = {}
    let_in: list[Delta] = []
    bytes_up = 0
    for delta in sent:
        name = str(delta.made_by.get("client", "?"))
        size = NUMBER_BYTES * sum(change.numel() for change in delta.changes.values())
        reason = gate.refusal_of_size(size) or gate.refusal(delta)
        if reason is None and not session.options.secure.on:
            own = kept.setdefault(name, {})
            vector = session.layout.vector(delta.changes)
            payload, read, lacks = session.up.send(vector, own.get("left_over") if session.up.keeps else None)
            if session.up.keeps:
                own["left_over"] = lacks
            bytes_up += len(payload)
            delta = dataclasses.replace(delta, changes=session.layout.tensors(read))
            reason = gate.refusal(delta)
        if reason is not None:
            refused[name] = reason
            continue
        if session.options.privacy.clip and not session.options.secure.on:
            delta, _ = privacy.clipped(delta, _server_clip(session, state))
        let_in.append(delta)
    if session.options.local.scaffold:  # the control variates travel in single precision
        bytes_up += NUMBER_BYTES * session.layout.size * len(let_in)
    used, left_out, strikes = _watched(session, state, let_in)
    return Received(tuple(used), kept, refused, left_out, strikes, bytes_up)


def _server_clip(session: Session, state: State) -> float:
    """Gives the length to which the server clips again: with local noise, what noise adds is let through."""
    how = session.options.privacy
    if how.where == "central" or not how.noise:
        return state.clip
    fewest = max(1, round(session.cohort * (1 - session.options.attendance.dropout)))
    std = privacy.local_std(how, state.clip, fewest)
    return float(state.clip + 2 * std * session.layout.size**0.5)


def _watched(
    session: Session, state: State, deltas: Sequence[Delta]
) -> tuple[list[Delta], dict[str, float], dict[str, int]]:
    watch = session.options.watch
    if not watch.score or not deltas:
        return list(deltas), {}, dict(state.strikes)
    names = [str(delta.made_by["client"]) for delta in deltas]
    scores = anomaly.anomaly_scores(deltas).tolist()
    strikes, out = anomaly.strikes_after(state.strikes, names, scores, watch)
    by_name = dict(zip(names, scores, strict=True))
    return (
        [d for d, name in zip(deltas, names, strict=True) if name not in out],
        {n: by_name[n] for n in out},
        strikes,
    )


@dataclass(frozen=True, eq=False)
class Merged:
    """What the server makes of the changes of a round.

    Attributes:
        delta: one change.
        server: state of the aggregator.
        bytes_up: of secure aggregation, which is counted here.
        bytes_down: of it.
    """

    delta: Delta
    server: Mapping[str, Tensor]
    bytes_up: int = 0
    bytes_down: int = 0


def merge(
    session: Session, state: State, deltas: Sequence[Delta], number: int, silent: Sequence[str] = ()
) -> Merged:
    """Makes one change of many: by sums that hide single ones, with noise, through the aggregator.

    Args:
        session: what does not change.
        state: before the round.
        deltas: at least one.
        number: of the round.
        silent: who dropped out after sharing the secrets of secure aggregation.

    Returns:
        The change, and what the aggregator remembers.

    Raises:
        InputError: secure aggregation lost too many clients.
    """
    file, how = session.aggregator
    seen, up, down = list(deltas), 0, 0
    if session.options.secure.on:
        seen, up, down = _sums(session, deltas, number, silent)
    if session.options.privacy.noise:
        seen = [_noisy(session, state, seen, len(deltas), number)]
    delta, server = file.aggregate(seen, state.server, how)
    return Merged(delta, server, up, down)


def _noisy(session: Session, state: State, seen: Sequence[Delta], count: int, number: int) -> Delta:
    how = session.options.privacy
    layout = layout_of(seen[0].changes)
    if session.options.secure.on:  # the mean of a group stands for all of it
        total = torch.stack([layout.vector(d.changes) * d.n_clips for d in seen]).sum(0)
        seen = [dataclasses.replace(seen[0], changes=layout.tensors(total))]
    z = privacy.sum_noise(how, session.cohort)
    draw = torch_generator(session.seed, "noise", number)
    mean = privacy.private_mean(seen, state.clip, z, session.cohort, draw, add=how.where == "central")
    return dataclasses.replace(seen[0], changes=layout.tensors(mean), n_clips=count)


def _sums(
    session: Session, deltas: Sequence[Delta], number: int, silent: Sequence[str]
) -> tuple[list[Delta], int, int]:
    """Gives the mean change of each group of clients, each of which comes from a sum that hides them."""
    how = session.options.secure
    grid = Grid(how.reach, how.bits)
    names = [str(delta.made_by["client"]) for delta in deltas]
    liars = {client.name for client in session.clients if client.attacks}
    order = numpy_generator(session.seed, "groups", number).permutation(len(deltas))
    means, up, down = [], 0, 0
    for place in range(how.groups):
        group = [int(k) for k in order[place :: how.groups]]
        grid.check(len(group))
        vectors = {names[k]: session.layout.vector(deltas[k].changes) for k in group}
        # A liar reaches as far as the grid; the software of an honest client refuses to go beyond it.
        words = {
            name: grid.whole(v.clamp(-how.reach, how.reach) if name in liars else v, name)
            for name, v in vectors.items()
        }
        lost = silent[place :: how.groups]
        found = secure_sum(
            words | {name: np.zeros(session.layout.size, dtype=np.uint32) for name in lost},
            silent=lost,
            session=f"{session.seed}:{number}:{place}".encode(),
            draw=numpy_generator(session.seed, "graph", number, place),
            degree=how.degree,
            threshold=how.threshold,
        )
        up, down = up + found.bytes_up, down + found.bytes_down
        mean = grid.numbers(found.total) / len(found.survivors)
        means.append(
            Delta(
                base_sha256=deltas[0].base_sha256,
                changes=session.layout.tensors(mean),
                n_clips=len(found.survivors),
                made_by={"client": f"group {place + 1} of {how.groups}"},
            )
        )
    return means, up, down


def apply(session: Session, state: State, step: Tensor) -> tuple[Tensor, Tensor, int]:
    """Moves the server's weights and tells the devices, through the channel down.

    Args:
        session: what does not change.
        state: before the round.
        step: [P] what the aggregator gave.

    Returns:
        The server's weights [P], what the devices then hold [P], and the bytes of one broadcast.

    Raises:
        InputError: the weights are not finite any more.
    """
    weights = state.weights + step
    if session.voices is not None:
        weights = session.voices.spread(session.layout, weights, session.work.rate)
    if not bool(torch.isfinite(weights).all()):
        raise InputError(
            "The shared weights are not finite any more.",
            "Use a smaller local.rate or server.rate, or a robust aggregator.",
        )
    payload, read, _ = session.down.send(weights - state.public, None)
    public = weights.clone() if session.options.downlink == "none" else state.public + read
    return weights, public, len(payload)


def catching_up(session: Session, state: State, names: Sequence[str], broadcast: int) -> int:
    """Counts the bytes down: each asked client gets what it missed, at most all shared weights."""
    whole = NUMBER_BYTES * session.layout.size
    return sum(
        min(whole, broadcast * (state.number - state.heard[name])) if name in state.heard else whole
        for name in names
    )
