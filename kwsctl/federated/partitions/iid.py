"""Clients that each hold a random part: the easy case, to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """How many.

    Attributes:
        clients: how many clients.
    """

    clients: int = 20


def assign(
    target: NDArray[np.int64], speakers: Sequence[str | None], options: Options, draw: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Deals the clips out at random, equally many to each client."""
    parts = np.array_split(draw.permutation(len(target)), options.clients)
    return {f"client-{n:04d}": np.sort(part) for n, part in enumerate(parts)}
