"""The Flower ClientApp: each message is one round of one device."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from kwsctl import bundle
from kwsctl.data.prepare import prepared
from kwsctl.errors import InputError
from kwsctl.federated.flower import secure, wire
from kwsctl.federated.flower.device import follow, open_device
from kwsctl.federated.flower.plan import plan_of
from kwsctl.federated.session import Session
from kwsctl.home import home

Opened = Callable[[Context], Session]


def client_app(opened: Opened | None = None, *, masked: bool = False) -> ClientApp:
    """Makes the app.

    Args:
        opened: gives the session of a device; by default of its own manifest and bundle, which the
            SuperNode's `--node-config` names.
        masked: answers are masked by SecAgg+.

    Returns:
        The app.
    """
    app = ClientApp()
    give = opened or opened_here
    if masked:
        app.train(mods=[secure.mask])(lambda message, context: secure.answered(message, context, give))
        return app

    @app.train()
    def train(message: Message, context: Context) -> Message:
        told, kept = follow(
            give(context), wire.unpacked_order(message.content), wire.remembered(context.state)
        )
        wire.remember(context.state, kept)
        return Message(wire.packed_told(told), reply_to=message)

    return app


def opened_here(context: Context) -> Session:
    """Opens the session of the device on which this runs.

    Args:
        context: its node configuration names `data` (a manifest of the device's own clips), `base` (the
            bundle) and perhaps `client` (a name) and `home`; its run configuration is the plan.

    Returns:
        The session.

    Raises:
        InputError: something is not named.
    """
    node = context.node_config
    for name in ("data", "base"):
        if name not in node:
            raise InputError(f"The device's --node-config does not name {name}.", "Add it.")
    folder = home(Path(str(node["home"])) if "home" in node else None)
    name = str(node.get("client", context.node_id))
    return _opened(
        Path(str(node["data"])), Path(str(node["base"])), folder, name, tuple(context.run_config.items())
    )


@functools.lru_cache(maxsize=64)
def _opened(data: Path, base: Path, folder: Path, name: str, config: tuple) -> Session:  # type: ignore[type-arg]
    """Opens a session once in a process: where many messages are served, clips are read once."""
    torch.set_num_threads(1)
    plan = plan_of(dict(config))
    return open_device(bundle.load(base), prepared(data, folder), name, plan, secrets.randbits(63))
