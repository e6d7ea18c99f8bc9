"""The server's end of Flower: sends orders to the devices of a round, and takes in what they tell."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from flwr.app import Message, MessageType
from flwr.serverapp import Grid
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated.attendance import Asked
from kwsctl.federated.clients import Client
from kwsctl.federated.devices import Answers
from kwsctl.federated.flower import secure, wire
from kwsctl.federated.flower.device import Order
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.layout import NUMBER_BYTES
from kwsctl.federated.reception import Received, receive_payloads
from kwsctl.federated.session import Session
from kwsctl.federated.state import RoundFacts, State
from kwsctl.federated.topologies.star import round_with
from kwsctl.seeding import numpy_generator

POLL_S = 1.0
LOST = "has lost the weights"


class Fleet:
    """The devices behind a grid.

    It remembers what each of them has been told, so that with a compressed downlink it can send what a device
    missed instead of all weights. After a restart of the server everybody gets all of them once.

    Args:
        grid: of the ServerApp.
        plan: what was agreed on.
        names: of nodes, where they are known; others are called by their number.
    """

    def __init__(self, grid: Grid, plan: Plan, names: Mapping[int, str] | None = None) -> None:
        self._grid = grid
        self._plan = plan
        self._names = dict(names or {})
        self._nodes: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._broadcasts: dict[int, bytes] = {}
        self._before: State | None = None

    def advance(self, session: Session, state: State) -> tuple[State, RoundFacts]:
        """Plays one round with the devices that are connected, as `star.advance` does with simulated ones."""
        nodes = self._connected()
        nobody = np.zeros(0, dtype=np.int64)
        self._nodes = {self._names.get(node, str(node)): node for node in nodes}
        there = tuple(Client(name, nobody, nobody.astype(np.bool_)) for name in self._nodes)
        self._note_broadcast(session, state)
        return round_with(dataclasses.replace(session, clients=there), state, self._reach)

    def _connected(self) -> list[int]:
        """Waits for enough devices."""
        until = time.monotonic() + self._plan.timeout_s
        while len(nodes := sorted(self._grid.get_node_ids())) < self._plan.least:
            if time.monotonic() > until:
                raise InputError(
                    f"{len(nodes)} devices are connected, a round needs {self._plan.least}.",
                    "Start more SuperNodes; the run goes on from its checkpoint.",
                )
            time.sleep(POLL_S)
        return nodes

    def _note_broadcast(self, session: Session, state: State) -> None:
        """Encodes what the devices have to be told of the last round."""
        if self._before is not None and session.options.downlink != "none":
            change = state.weights - self._before.public
            self._broadcasts[state.number] = session.down.send(change, None)[0]
        self._before = state

    def _order(self, session: Session, state: State, client: str) -> Order:
        known = self._told.get(client)
        if known is not None and session.options.downlink != "none":
            missed = [self._broadcasts.get(number) for number in range(known + 1, state.number + 1)]
            ready = [payload for payload in missed if payload is not None]
            if len(ready) == len(missed) and sum(map(len, ready)) < NUMBER_BYTES * session.layout.size:
                return Order(state.number, None, ready, known, state.control)
        return Order(state.number, state.public, (), -1, state.control)

    def _reach(
        self, session: Session, state: State, asked: Sequence[Asked], base_sha256: str
    ) -> tuple[Answers, Received]:
        orders = {one.client.name: self._order(session, state, one.client.name) for one in asked}
        moved = torch.zeros_like(state.control)
        if session.options.secure.on:
            got = self._summed(session, state, orders, base_sha256)
        else:
            got, moved = self._told_of(session, state, orders, base_sha256)
        silent = {*got.unheard, *(n for n, why in got.refused.items() if why.startswith(LOST))}
        for name in orders:
            if name in silent:
                self._told.pop(name, None)
            else:
                self._told[name] = state.number
        return Answers((), state.devices, moved, (), None, 0.0), got

    def _told_of(
        self, session: Session, state: State, orders: Mapping[str, Order], base_sha256: str
    ) -> tuple[Received, Tensor]:
        """Sends orders, and reads the answers."""
        messages = [
            Message(
                wire.packed_order(order),
                dst_node_id=self._nodes[name],
                message_type=MessageType.TRAIN,
                group_id=str(state.number),
            )
            for name, order in orders.items()
        ]
        down = sum(wire.size_of(message.content) for message in messages)
        replies = list(self._grid.send_and_receive(messages, timeout=self._plan.timeout_s))
        refused: dict[str, str] = {}
        arrived, moved = [], torch.zeros_like(state.control)
        heard: set[str] = set()
        name_of = {node: name for name, node in self._nodes.items()}
        for reply in sorted(replies, key=lambda reply: reply.metadata.src_node_id):
            name = name_of[reply.metadata.src_node_id]
            heard.add(name)
            if reply.has_error():
                refused[name] = f"failed: {reply.error.reason or reply.error.code}"
                continue
            try:
                arrival, control = wire.unpacked_told(reply.content, name, session.layout.size)
            except InputError as error:
                refused[name] = error.message
                continue
            arrived.append(arrival)
            moved += control / session.population if len(control) == len(moved) else 0.0
        got = receive_payloads(session, state, arrived, base_sha256, refused)
        unheard = tuple(name for name in orders if name not in heard)
        return dataclasses.replace(got, bytes_down=down, unheard=unheard), moved

    def _summed(
        self, session: Session, state: State, orders: Mapping[str, Order], base_sha256: str
    ) -> Received:
        """Lets SecAgg+ sum the changes of each group of devices."""
        how, names = session.options.secure, list(orders)
        drawn = numpy_generator(session.seed, "groups", state.number).permutation(len(names))
        deltas, answered, taps = [], set(), secure.Taps(self._grid)
        for place in range(how.groups):
            group = {self._nodes[names[k]]: orders[names[k]] for k in drawn[place :: how.groups]}
            if len(group) < 2:
                continue
            found = secure.secure_mean(taps, group, how, state.number, self._plan.timeout_s)
            if found.mean is None or len(found.mean) != session.layout.size:
                continue
            answered |= {name for name in names if self._nodes[name] in found.answered}
            made_by = {"client": f"group {place + 1} of {how.groups}"}
            changes = session.layout.tensors(found.mean)
            deltas.append(Delta(base_sha256, changes, (), len(found.answered), made_by))
        return Received(
            tuple(deltas),
            state.devices,
            {},
            strikes=dict(state.strikes),
            bytes_up=taps.bytes_up,
            bytes_down=taps.bytes_down,
            unheard=tuple(name for name in names if name not in answered),
            summed=True,
        )
