"""Clients with very different numbers of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """How many, and how unlike.

    Attributes:
        clients: how many clients.
        alpha: of the Dirichlet distribution of their sizes.
    """

    clients: int = 20
    alpha: float = 0.5


def assign(
    target: NDArray[np.int64], speakers: Sequence[str | None], options: Options, draw: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Deals the clips out at random, in shares of a Dirichlet distribution, at least one to each client."""
    order = draw.permutation(len(target))
    shares = draw.dirichlet(np.full(options.clients, options.alpha))
    spare = len(order) - options.clients
    cuts = np.arange(1, options.clients) + np.round(np.cumsum(shares)[:-1] * spare).astype(np.int64)
    parts = np.split(order, cuts)
    return {f"client-{n:04d}": np.sort(part) for n, part in enumerate(parts)}
