"""What server and devices agree on before the first round; travels as the configuration of a Flower app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kwsctl.errors import InputError
from kwsctl.federated.options import FederateOptions
from kwsctl.options import from_mapping, to_mapping


@dataclass(frozen=True)
class Plan:
    """A federation of real devices.

    Attributes:
        options: how; the same on the server and on all devices.
        seed: of everything random but noise, whose seeds are secret.
        clients: how many devices there are: a constant, by which sums are divided and epsilon is counted.
        base_sha256: identity of the bundle that all begin with.
        least: devices that must be connected before a round begins.
        timeout_s: how long the server waits for them, and then for their answers, in s.
    """

    options: FederateOptions
    seed: int
    clients: int
    base_sha256: str
    least: int = 2
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if not 2 <= self.least <= self.clients:
            raise InputError(
                f"A round of at least {self.least} of {self.clients} devices cannot be.",
                "Use at least 2, and at most as many as there are.",
            )
        _check(self.options)

    @property
    def config(self) -> dict[str, str | int | float]:
        """The plan as a Flower app is configured."""
        return {
            "options": json.dumps(to_mapping(self.options), sort_keys=True),
            "seed": self.seed,
            "clients": self.clients,
            "base-sha256": self.base_sha256,
            "least": self.least,
            "timeout-s": float(self.timeout_s),
        }


def plan_of(config: Mapping[str, Any]) -> Plan:
    """Reads the configuration of a Flower app.

    Args:
        config: of `Plan.config`.

    Returns:
        The plan.

    Raises:
        InputError: a value that is missing, or options that do not go together.
    """
    try:
        return Plan(
            options=from_mapping(FederateOptions, json.loads(str(config["options"]))),
            seed=int(config["seed"]),
            clients=int(config["clients"]),
            base_sha256=str(config["base-sha256"]),
            least=int(config["least"]),
            timeout_s=float(config["timeout-s"]),
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The app's configuration is not a plan: {error}.", "Make it with kwsctl federate deploy."
        ) from None


def _check(options: FederateOptions) -> None:
    """Refuses what is only there to be simulated, or what would leave a device in clear."""
    simulated = {
        "attack": options.attack is not None,
        "population.attackers": bool(options.population.attackers),
        "population.late_share": bool(options.population.late_share),
        "attendance.dropout": bool(options.attendance.dropout),
        "attendance.stragglers": bool(options.attendance.stragglers),
    }
    named = [name for name, on in simulated.items() if on]
    if named:
        raise InputError(
            f"{', '.join(named)} can only be simulated: real devices do that by themselves.",
            "Use --engine simulation, or leave it out.",
        )
    if options.topology != "star":
        raise InputError(
            f"On Flower every device talks to the server, so there is no topology {options.topology}.",
            "Use topology=star, or --engine simulation.",
        )
    if options.privacy.adaptive:
        raise InputError(
            "An adaptive clip would need a bit of every device in clear.",
            "Use a fixed clip: --set privacy.clip=1; the log of a simulation tells which.",
        )
