"""Runs an unmodified ServerApp and ClientApp in this process: no sockets, no Ray, no SuperLink.

`Grid` is Flower's public interface. What is not public, and why flwr is pinned, are `TaskIdentity`, which
messages read, and the number of a message, which the SuperLink gives otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

FIRST_NODE = 1000
Tap = Callable[[Message, Message], Message | None]
"""Sees an order and its reply; gives another reply, or None to leave it."""


class LocalGrid(Grid):
    """Nodes in this process.

    Args:
        client_app: what each of them runs.
        nodes: the node configuration of each.
        run_config: of the run.
        tap: sees every message, in tests.
    """

    def __init__(
        self,
        client_app: ClientApp,
        nodes: Sequence[Mapping[str, Any]],
        run_config: Mapping[str, Any],
        tap: Tap | None = None,
    ) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self._app, self._tap = client_app, tap
        self._run = Run.create_empty(run_id=1)
        self.contexts = {
            FIRST_NODE + place: Context(
                run_id=1,
                node_id=FIRST_NODE + place,
                node_config=UserConfig(dict(node)),
                state=RecordDict(),
                run_config=UserConfig(dict(run_config)),
            )
            for place, node in enumerate(nodes)
        }
        self._waiting: dict[str, Message] = {}

    def set_run(self, run: Any) -> None:
        """Takes the run."""
        self._run = run

    @property
    def run(self) -> Any:
        """Gives the run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Makes a message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Gives all nodes."""
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Lets nodes answer; replies wait to be pulled."""
        numbers = []
        for message in messages:
            reply = self._answered(message)
            numbers.append(message.metadata.message_id)
            self._waiting[message.metadata.message_id] = reply
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Gives replies that wait."""
        return [self._waiting.pop(number) for number in list(message_ids) if number in self._waiting]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Lets one node after the other answer."""
        return [self._answered(message) for message in messages]

    def _answered(self, message: Message) -> Message:
        message.metadata.__dict__["_message_id"] = str(uuid4())
        # Mods change records in place, which on a real network are those of another process.
        arrived = Message(copy.deepcopy(message.content), metadata=message.metadata)
        try:
            reply = self._app(arrived, self.contexts[message.metadata.dst_node_id])
        except Exception as error:
            reply = Message(Error(code=0, reason=f"{type(error).__name__}: {error}"), reply_to=message)
        if self._tap is not None:
            reply = self._tap(message, reply) or reply
        reply.metadata.__dict__["_message_id"] = str(uuid4())
        return reply


def run_here(
    server_app: ServerApp,
    client_app: ClientApp,
    nodes: Sequence[Mapping[str, Any]],
    run_config: Mapping[str, Any],
    tap: Tap | None = None,
) -> LocalGrid:
    """Runs a whole Flower app in this process.

    Args:
        server_app: unmodified.
        client_app: unmodified.
        nodes: the node configuration of each client.
        run_config: of the run.
        tap: sees every message, in tests.

    Returns:
        The grid, with what the nodes keep.
    """
    grid = LocalGrid(client_app, nodes, run_config, tap)
    context = Context(
        run_id=1,
        node_id=1,
        node_config=UserConfig(),
        state=RecordDict(),
        run_config=UserConfig(dict(run_config)),
    )
    server_app(grid, context)
    return grid
