"""Clients that know different words: the shares of each label follow a Dirichlet distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError


@dataclass(frozen=True)
class Options:
    """How many, and how unlike.

    Attributes:
        clients: how many clients.
        alpha: 0.1 gives each client few labels, 100 nearly all alike.
    """

    clients: int = 20
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise InputError(f"alpha = {self.alpha:g} is no Dirichlet parameter.", "Use more than 0.")


def assign(
    target: NDArray[np.int64], speakers: Sequence[str | None], options: Options, draw: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Splits the clips of each label by shares drawn anew (Hsu et al. 2019, arXiv 1909.06335, section 3)."""
    parts: list[list[int]] = [[] for _ in range(options.clients)]
    for label in np.unique(target):
        rows = draw.permutation(np.flatnonzero(target == label))
        shares = draw.dirichlet(np.full(options.clients, options.alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        for part, more in zip(parts, np.split(rows, cuts), strict=True):
            part += more.tolist()
    return {f"client-{n:04d}": np.array(sorted(part), dtype=np.int64) for n, part in enumerate(parts)}
