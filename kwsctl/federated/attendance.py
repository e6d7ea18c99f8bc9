"""Who answers in a round: sampling, dropouts and stragglers, each drawn from the seed and the round alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from kwsctl.errors import InputError
from kwsctl.federated.clients import Client
from kwsctl.seeding import numpy_generator


@dataclass(frozen=True)
class Attendance:
    """How clients are asked, and how they fail.

    Attributes:
        sampling: `poisson` asks each client by itself with probability `share`; `fixed` asks exactly so many.
        share: of the clients that are asked in a round.
        dropout: share of the asked clients that never answer.
        stragglers: share of the asked clients that are cut off before they are done.
    """

    sampling: Literal["poisson", "fixed"] = "poisson"
    share: float = 1.0
    dropout: float = 0.0
    stragglers: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share = {self.share:g} asks nobody.", "Use more than 0, at most 1.")
        for name in ("dropout", "stragglers"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name):g} leaves nobody.", "Use 0 to below 1.")


@dataclass(frozen=True)
class Asked:
    """One client in one round.

    Attributes:
        client: who.
        answers: false if it drops out.
        work: share of its local steps that it finishes, in (0, 1].
    """

    client: Client
    answers: bool
    work: float


def attend(
    clients: Sequence[Client], how: Attendance, number: int, seed: int, barred: Collection[str] = ()
) -> tuple[Asked, ...]:
    """Draws who is asked in a round, and how that goes.

    Args:
        clients: all.
        how: shares.
        number: of the round, from 0.
        seed: of everything random.
        barred: names that are not asked.

    Returns:
        The asked clients, by name.
    """
    there = [client for client in clients if client.joins <= number and client.name not in barred]
    draw = numpy_generator(seed, "attendance", number)
    if how.sampling == "fixed":
        count = max(1, round(how.share * len(there))) if there else 0
        chosen = sorted(draw.permutation(len(there))[:count].tolist())
    else:
        chosen = [i for i, chance in enumerate(draw.random(len(there))) if chance < how.share]
    asked = []
    for i in chosen:
        own = numpy_generator(seed, "device", there[i].name, number)
        answers, slow = own.random() >= how.dropout, own.random() < how.stragglers
        asked.append(Asked(there[i], bool(answers), float(own.uniform(0.1, 0.9)) if slow else 1.0))
    return tuple(asked)
