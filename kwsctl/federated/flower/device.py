"""One real device: it takes what the server sends, learns on its own clips, and tells what may leave it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.federated.attendance import Asked
from kwsctl.federated.clients import device
from kwsctl.federated.corpus import gather
from kwsctl.federated.devices import answers
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import first_state


@dataclass(frozen=True, eq=False)
class Order:
    """What the server sends to a device in a round.

    Attributes:
        number: of the round, from 0.
        whole: [P] the shared weights; None if the device gets what it missed.
        missed: what the server sent in the rounds since `known`, encoded.
        known: the round whose weights the device has, -1 with `whole`.
        control: [P] of SCAFFOLD; empty without.
    """

    number: int
    whole: Tensor | None
    missed: Sequence[bytes] = ()
    known: int = -1
    control: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass(frozen=True, eq=False)
class Kept:
    """What stays on the device from round to round.

    Attributes:
        number: the round whose shared weights it has; -1 for none.
        public: [P] these weights.
        own: what its channel left over, its personal layers, its control variate.
    """

    number: int = -1
    public: Tensor = field(default_factory=lambda: torch.zeros(0))
    own: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Told:
    """What leaves the device.

    Attributes:
        change: [P] as learned, clipped and made noisy; secure aggregation masks it.
        payload: the change, encoded; empty with secure aggregation.
        base_sha256: the bundle that the device learned on, by its own count.
        n_clips: 1 where the number is nobody's business.
        steps: 0 unless the aggregator needs it.
        control: [P] by how much its control variate moved; empty without SCAFFOLD.
    """

    change: Tensor
    payload: bytes
    base_sha256: str
    n_clips: int
    steps: int
    control: Tensor


def open_device(base: Bundle, store: ClipStore, name: str, plan: Plan, secret: int | None) -> Session:
    """Opens a session of one client.

    Args:
        base: the bundle of the plan.
        store: the device's own clips, in the split `train`.
        name: of the device; seeds the order of its clips.
        plan: what was agreed on.
        secret: seed of its noise; None takes the seed of the plan, as a simulation does.

    Returns:
        The session.

    Raises:
        InputError: another bundle than that of the plan, or no clips.
    """
    if base.sha256 != plan.base_sha256:
        raise InputError(
            f"The device has bundle {base.sha256[:12]}, the federation begins with {plan.base_sha256[:12]}.",
            "Give it the base.safetensors of the deployment.",
        )
    corpus = gather(store, base, wanted=("train",))
    rows = np.arange(len(corpus.train), dtype=np.int64)
    client = device(name, rows, plan.options.population, plan.seed)
    session = open_session(base, corpus, (client,), plan.options, plan.seed)
    return dataclasses.replace(session, expected=plan.clients, secret=secret)


def follow(session: Session, order: Order, kept: Kept) -> tuple[Told | None, Kept]:
    """Learns for one round.

    Args:
        session: of one client.
        order: from the server.
        kept: from earlier rounds.

    Returns:
        What is told, and what is kept; nothing is told by a device that has not got the weights on which
        the order builds.
    """
    public = order.whole
    if public is None:
        if kept.number != order.known:
            return None, kept
        public = kept.public
        for payload in order.missed:
            public = public + session.down.read(payload)
    (client,) = session.clients
    state = dataclasses.replace(
        first_state(session),
        number=order.number,
        weights=public,
        public=public,
        control=order.control,
        devices={client.name: kept.own},
    )
    sha = session.bundle(public).sha256
    found = answers(session, state, [Asked(client, answers=True, work=1.0)], sha, number=order.number)
    (delta,) = found.deltas
    own = dict(found.devices[client.name])
    vector, payload = session.layout.vector(delta.changes), b""
    if session.options.secure.on:
        _check_reach(session, vector)
    else:
        payload, _, lacks = session.up.send(vector, own.get("left_over") if session.up.keeps else None)
        if session.up.keeps:
            own["left_over"] = lacks
    hides = bool(session.options.secure.on or session.options.privacy.noise)
    steps = int(delta.made_by["steps"]) if session.options.aggregator == "fednova" else 0
    told = Told(vector, payload, sha, 1 if hides else delta.n_clips, steps, found.control)
    return told, Kept(order.number, public, own)


def _check_reach(session: Session, change: Tensor) -> None:
    """Refuses to send what the grid of secure aggregation would cut off without a word."""
    reach, largest = session.options.secure.reach, float(change.abs().max())
    if largest > reach:
        raise InputError(
            f"The change reaches {largest:.3g}, beyond the grid of secure aggregation at {reach:g}.",
            f"Use --set secure.reach={2 * largest:.0f}, or --set privacy.clip=1.",
        )
