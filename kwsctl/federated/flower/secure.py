"""Flower's SecAgg+ behind an adapter: only masked vectors leave, no counts of clips and no metrics.

Its workflow and mod are of Flower's older interface, the newer one has none. Every client weighs the same
(Bell et al. 2020, 'Secure single-server aggregation with (poly)logarithmic overhead'); the server is trusted
to follow the protocol, as keys are relayed by it and not signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.client.mod import secaggplus_mod
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat as compat
from flwr.compat.common.typing import Code, FitIns, FitRes, Status
from flwr.server import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.serverapp import Grid
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.flower import wire
from kwsctl.federated.flower.device import Order, follow
from kwsctl.federated.options import Secure
from kwsctl.federated.session import Session

mask = secaggplus_mod
"""What the ClientApp has to run around `answered`."""


def answered(message: Message, context: Context, opened: Callable[[Context], Session]) -> Message:
    """Learns for one round, and gives the change to Flower's mod, which masks it.

    Args:
        message: fit instructions.
        context: of the device.
        opened: gives its session.

    Returns:
        The change, with a weight of one and no metrics: these would leave in clear.

    Raises:
        InputError: the device has lost the weights, or its change is beyond the grid.
    """
    told_to = compat.recorddict_to_fitins(message.content, keep_input=True)
    order = wire.order_from(
        parameters_to_ndarrays(told_to.parameters),
        int(told_to.config["number"]),
        int(told_to.config["known"]),
    )
    told, kept = follow(opened(context), order, wire.remembered(context.state))
    if told is None:
        raise InputError(
            "The device has lost the weights of earlier rounds.", "It gets all of them next time."
        )
    wire.remember(context.state, kept)
    reply = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([told.change.numpy()]), 1, {})
    return Message(compat.fitres_to_recorddict(reply, keep_input=False), reply_to=message)


@dataclass(frozen=True, eq=False)
class Summed:
    """What SecAgg+ gives.

    Attributes:
        mean: [P] mean change of those that answered; None if the protocol could not be finished.
        answered: nodes whose masked change is in it.
    """

    mean: Tensor | None
    answered: tuple[int, ...]


@dataclass(frozen=True)
class _Node:
    """What the workflow wants to know of a client."""

    node_id: int


class _Round(FedAvg):
    """Hands orders to the workflow, and keeps the mean that it gives."""

    def __init__(self, orders: Mapping[int, Order]) -> None:
        super().__init__()
        self.orders = orders
        self.found: Tensor | None = None
        self.from_nodes: tuple[int, ...] = ()

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
        """Gives each node its order."""
        return [
            (
                _Node(node),
                FitIns(
                    ndarrays_to_parameters(wire.order_arrays(order)),
                    {"number": order.number, "known": order.known},
                ),
            )
            for node, order in self.orders.items()
        ]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Takes the mean, of which the workflow gives one copy for each node."""
        if results:
            (mean,) = parameters_to_ndarrays(results[0][1].parameters)
            self.found = torch.from_numpy(np.array(mean, dtype=np.float32))
            self.from_nodes = tuple(sorted(proxy.node_id for proxy, _ in results))
        return None, {}


def secure_mean(
    grid: Grid, orders: Mapping[int, Order], how: Secure, number: int, timeout_s: float
) -> Summed:
    """Runs SecAgg+ once among some nodes.

    Args:
        grid: reaches them.
        orders: what each gets.
        how: grid of the numbers, neighbours and threshold.
        number: of the round.
        timeout_s: for each of its four messages, in s.

    Returns:
        The mean change.
    """
    shares = min(len(orders), how.degree + 1)
    workflow = SecAggPlusWorkflow(
        num_shares=shares if shares > 2 else 1.0,
        reconstruction_threshold=max(2, round(how.threshold * shares)) if shares > 2 else 1.0,
        max_weight=1.0,
        clipping_range=how.reach,
        quantization_range=2**how.bits,
        timeout=timeout_s,
    )
    strategy = _Round(orders)
    records = RecordDict(
        {
            MAIN_PARAMS_RECORD: ArrayRecord(),
            MAIN_CONFIGS_RECORD: ConfigRecord({"current_round": number + 1}),
        }
    )
    plain = Context(run_id=1, node_id=1, node_config=UserConfig(), state=records, run_config=UserConfig())
    workflow(grid, LegacyContext(plain, strategy=strategy))
    return Summed(strategy.found, strategy.from_nodes)


class Taps(Grid):
    """A grid that counts the bytes of what passes.

    Args:
        grid: does the work.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.bytes_up = self.bytes_down = 0

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Sends messages, waits for the replies, and counts both."""
        sent = list(messages)
        self.bytes_down += sum(wire.size_of(message.content) for message in sent)
        replies = list(self._grid.send_and_receive(sent, timeout=timeout))
        self.bytes_up += sum(wire.size_of(reply.content) for reply in replies if not reply.has_error())
        return replies

    def set_run(self, run: Any) -> None:
        """Passes on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """Passes on."""
        return self._grid.run

    def create_message(self, *arguments: Any, **named: Any) -> Message:
        """Passes on."""
        return self._grid.create_message(*arguments, **named)

    def get_node_ids(self) -> Iterable[int]:
        """Passes on."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Passes on."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Passes on."""
        return self._grid.pull_messages(message_ids)
