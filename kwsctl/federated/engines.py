"""The engines that can play a federation; both take the same arguments and give the same result."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from kwsctl.errors import ExtensionError, InputError
from kwsctl.federated.federate import FederateResult, federate
from kwsctl.federated.federate_voices import FederatedVoices, federate_voices
from kwsctl.registry import did_you_mean

ENGINES = ("simulation", "flower")


@dataclass(frozen=True)
class Engine:
    """What plays federations.

    Attributes:
        federate: like `kwsctl.federated.federate.federate`.
        federate_voices: like `kwsctl.federated.federate_voices.federate_voices`.
    """

    federate: Callable[..., FederateResult]
    federate_voices: Callable[..., FederatedVoices]


def engine_named(name: str) -> Engine:
    """Gives what plays a federation.

    Args:
        name: `simulation` or `flower`.

    Returns:
        The engine.

    Raises:
        InputError: another name.
        ExtensionError: flwr is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"No engine {name!r}.", f"{did_you_mean(name, ENGINES)}Known: {', '.join(ENGINES)}.")
    if name == "simulation":
        return Engine(federate, federate_voices)
    try:
        module = importlib.import_module("kwsctl.federated.flower.in_process")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("flwr"):
            raise
        raise ExtensionError(
            "The engine flower needs flwr, which wants an environment of its own.",
            "Type: make setup-flower, or pip install 'kwsctl[flower]' in a fresh one.",
        ) from None
    return Engine(module.federate_on_flower, module.federate_voices_on_flower)
