"""The engines that can play a federation; both take the same arguments and give the same result."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from kwsctl.errors import ExtensionError, InputError
from kwsctl.federated.federate import FederateResult, federate
from kwsctl.registry import did_you_mean

ENGINES = ("simulation", "flower")


def engine_named(name: str) -> Callable[..., FederateResult]:
    """Gives what plays a federation.

    Args:
        name: `simulation` or `flower`.

    Returns:
        A function like `kwsctl.federated.federate.federate`.

    Raises:
        InputError: another name.
        ExtensionError: flwr is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"No engine {name!r}.", f"{did_you_mean(name, ENGINES)}Known: {', '.join(ENGINES)}.")
    if name == "simulation":
        return federate
    try:
        module = importlib.import_module("kwsctl.federated.flower.in_process")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("flwr"):
            raise
        raise ExtensionError(
            "The engine flower needs flwr, which wants an environment of its own.",
            "Type: make setup-flower, or pip install 'kwsctl[flower]' in a fresh one.",
        ) from None
    return cast(Callable[..., FederateResult], module.federate_on_flower)
