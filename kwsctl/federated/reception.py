"""What arrives at the server: let in, refused by name, or left out for being too unlike others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated import anomaly, privacy
from kwsctl.federated.admission import Gate
from kwsctl.federated.layout import NUMBER_BYTES
from kwsctl.federated.session import Session
from kwsctl.federated.state import State


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
        unheard: who was asked and never answered, where that is only known now.
        summed: the changes are means of groups already, of so many clients as they say.
        bytes_down: what was sent down for them; None where it follows from who was asked.
    """

    deltas: tuple[Delta, ...]
    devices: Mapping[str, Mapping[str, Tensor]]
    refused: Mapping[str, str]
    left_out: Mapping[str, float] = field(default_factory=dict)
    strikes: Mapping[str, int] = field(default_factory=dict)
    bytes_up: int = 0
    unheard: tuple[str, ...] = ()
    summed: bool = False
    bytes_down: int | None = None

    @property
    def count(self) -> int:
        """How many clients are in the changes."""
        return sum(delta.n_clips for delta in self.deltas) if self.summed else len(self.deltas)


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
        let_in.append(delta)
    return _received(session, state, let_in, kept, refused, bytes_up)


@dataclass(frozen=True)
class Arrival:
    """What a device sent over a network.

    Attributes:
        client: by the name that the server gave it.
        payload: the encoded change.
        base_sha256: the bundle that the device says it learned on.
        n_clips: how many clips it says it learned from.
        steps: local steps; 0 where it does not tell.
    """

    client: str
    payload: bytes
    base_sha256: str
    n_clips: int
    steps: int = 0


def receive_payloads(
    session: Session, state: State, arrived: Sequence[Arrival], base_sha256: str, refused: Mapping[str, str]
) -> Received:
    """Reads what devices sent, through the same gate.

    Args:
        session: what does not change.
        state: before the round.
        arrived: payloads.
        base_sha256: the bundle that was sent out.
        refused: who was refused before, and why.

    Returns:
        What is used, and who was refused or left out, and why.
    """
    gate = Gate(base_sha256, session.layout)
    reasons, let_in = dict(refused), []
    for one in arrived:
        reason = gate.refusal_of_size(len(one.payload))
        try:
            vector = None if reason else session.up.read(one.payload)
        except InputError as error:
            vector, reason = None, error.message
        if vector is not None:
            facts = {"client": one.client, "steps": one.steps}
            delta = Delta(one.base_sha256, session.layout.tensors(vector), (), one.n_clips, facts)
            reason = gate.refusal(delta)
            if reason is None:
                let_in.append(delta)
        if reason is not None:
            reasons[one.client] = reason
    return _received(session, state, let_in, state.devices, reasons, sum(len(one.payload) for one in arrived))


def _received(
    session: Session,
    state: State,
    let_in: Sequence[Delta],
    devices: Mapping[str, Mapping[str, Tensor]],
    refused: Mapping[str, str],
    bytes_up: int,
) -> Received:
    if session.options.privacy.clip and not session.options.secure.on:
        bound = _server_clip(session, state)
        let_in = [privacy.clipped(delta, bound)[0] for delta in let_in]
    if session.options.local.scaffold:  # the control variates travel in single precision
        bytes_up += NUMBER_BYTES * session.layout.size * len(let_in)
    used, left_out, strikes = _watched(session, state, let_in)
    return Received(tuple(used), devices, refused, left_out, strikes, bytes_up)


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
