"""One server, and every client talks to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated import accountant, anomaly, privacy
from kwsctl.federated.attendance import Asked, attend
from kwsctl.federated.devices import Answers, answers
from kwsctl.federated.reception import Received, receive
from kwsctl.federated.server import Merged, apply, catching_up, merge
from kwsctl.federated.session import Session
from kwsctl.federated.state import RoundFacts, State
from kwsctl.seeding import torch_generator

Reach = Callable[[Session, State, Sequence[Asked], str], tuple[Answers, Received]]
"""Lets the asked clients learn on the bundle of that sha256, and gives what they told and what arrived."""


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


def advance(session: Session, state: State, options: Options) -> tuple[State, RoundFacts]:
    """Plays one round of a server and its clients (McMahan et al. 2017, arXiv 1602.05629, alg. 1).

    Args:
        session: what does not change.
        state: before the round.
        options: none.

    Returns:
        The state after it, and what happened.
    """
    return round_with(session, state, _simulated)


def _simulated(
    session: Session, state: State, asked: Sequence[Asked], base_sha256: str
) -> tuple[Answers, Received]:
    found = answers(session, state, asked, base_sha256, number=state.number)
    return found, receive(session, state, found.deltas, found.devices, base_sha256)


def round_with(session: Session, state: State, reach: Reach) -> tuple[State, RoundFacts]:
    """Plays one round with clients wherever they are: in this process, or behind a network.

    Args:
        session: what does not change.
        state: before the round.
        reach: gets the answers of the clients.

    Returns:
        The state after it, and what happened.
    """
    number = state.number
    barred = anomaly.barred(state.strikes, session.options.watch)
    asked = attend(session.clients, session.options.attendance, number, session.seed, barred)
    names = [one.client.name for one in asked]
    base_sha256 = session.bundle(state.public).sha256
    broadcast = _last_broadcast(session, state)
    found, got = reach(session, state, asked, base_sha256)
    down = catching_up(session, state, names, broadcast) if got.bytes_down is None else got.bytes_down
    silent = (*(one.client.name for one in asked if not one.answers), *got.unheard)
    facts = RoundFacts(
        round=number + 1,
        asked=len(asked),
        answered=got.count,
        dropped=silent,
        refused=got.refused,
        left_out=got.left_out,
        loss=found.loss,
        bytes_up=got.bytes_up,
        bytes_down=down,
        epsilon=spent(session, number + 1),
        clip=state.clip or None,
        labels_made_up=found.made_up,
    )
    after = dataclasses.replace(
        state,
        number=number + 1,
        devices=got.devices,
        heard={**state.heard, **dict.fromkeys(names, number)},
        strikes=got.strikes,
        control=state.control + found.control,
        clip=_next_clip(session, state, found),
    )
    try:
        used = got.deltas or _nobody(session, base_sha256)
        merged = merge(session, state, used, number, facts.dropped, summed=got.summed) if used else None
    except InputError as error:
        if not session.options.secure.on or "grid" in error.message:
            raise
        return after, dataclasses.replace(facts, answered=0, lost=str(error))
    if merged is None:
        return after, dataclasses.replace(facts, lost="no change could be used")
    return _moved(session, state, after, merged, got, facts)


def spent(session: Session, rounds: int) -> float | None:
    """Gives epsilon after some rounds, by the quick bound; None without noise."""
    how, attendance = session.options.privacy, session.options.attendance
    if not how.noise:
        return None
    return accountant.epsilon(
        how.noise, attendance.share, rounds, delta_of(session), attendance.sampling, tight=False
    )


def delta_of(session: Session) -> float:
    """Gives the probability with which the promise of epsilon may fail: less than one in all clients."""
    given = session.options.privacy.delta
    return float(session.population**-1.1) if given is None else given


def _moved(
    session: Session, state: State, after: State, merged: Merged, got: Received, facts: RoundFacts
) -> tuple[State, RoundFacts]:
    weights, public, _ = apply(session, state, session.layout.vector(merged.delta.changes))
    told = dataclasses.replace(
        facts,
        bytes_up=facts.bytes_up + merged.bytes_up,
        bytes_down=facts.bytes_down + merged.bytes_down,
        influence=merged.delta.made_by.get("influence", {}),
    )
    return dataclasses.replace(after, weights=weights, public=public, server=merged.server), told


def _nobody(session: Session, base_sha256: str) -> tuple[Delta, ...]:
    """Gives a change of zeros where noise is promised: its absence would tell that nobody came."""
    if not session.options.privacy.noise or session.options.secure.on:
        return ()
    return (Delta(base_sha256, session.layout.tensors(torch.zeros(session.layout.size))),)


def _last_broadcast(session: Session, state: State) -> int:
    """Gives the bytes of one broadcast: they depend on shapes alone."""
    return len(session.down.send(state.weights - state.public, None)[0])


def _next_clip(session: Session, state: State, found: Answers) -> float:
    how = session.options.privacy
    if not how.adaptive or not found.short:
        return state.clip
    draw = torch_generator(session.seed, "noisy count", state.number)
    return privacy.moved_clip(state.clip, found.short, how, session.cohort, draw)
