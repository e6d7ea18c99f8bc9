"""What the server does with the changes of a round: makes one of them, and tells the devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated import privacy
from kwsctl.federated.layout import NUMBER_BYTES, layout_of
from kwsctl.federated.secure_aggregation.fixed_point import Grid
from kwsctl.federated.secure_aggregation.protocol import secure_sum
from kwsctl.federated.session import Session
from kwsctl.federated.state import State
from kwsctl.seeding import numpy_generator, torch_generator


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
    session: Session,
    state: State,
    deltas: Sequence[Delta],
    number: int,
    silent: Sequence[str] = (),
    *,
    summed: bool = False,
) -> Merged:
    """Makes one change of many: by sums that hide single ones, with noise, through the aggregator.

    Args:
        session: what does not change.
        state: before the round.
        deltas: at least one.
        number: of the round.
        silent: who dropped out after sharing the secrets of secure aggregation.
        summed: `deltas` are what secure aggregation gave already.

    Returns:
        The change, and what the aggregator remembers.

    Raises:
        InputError: secure aggregation lost too many clients.
    """
    file, how = session.aggregator
    seen, up, down = list(deltas), 0, 0
    if session.options.secure.on and not summed:
        seen, up, down = _sums(session, deltas, number, silent)
    if session.options.privacy.noise:
        count = sum(delta.n_clips for delta in deltas) if summed else len(deltas)
        seen = [_noisy(session, state, seen, count, number)]
    delta, server = file.aggregate(seen, state.server, how)
    return Merged(delta, server, up, down)


def _noisy(session: Session, state: State, seen: Sequence[Delta], count: int, number: int) -> Delta:
    how = session.options.privacy
    layout = layout_of(seen[0].changes)
    if session.options.secure.on:  # the mean of a group stands for all of it
        total = torch.stack([layout.vector(d.changes) * d.n_clips for d in seen]).sum(0)
        seen = [dataclasses.replace(seen[0], changes=layout.tensors(total))]
    z = privacy.sum_noise(how, session.cohort)
    draw = torch_generator(session.noise_seed, "noise", number)
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
