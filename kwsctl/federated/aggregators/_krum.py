"""The score of Krum: how far a client is from those that are nearest to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.errors import InputError


@dataclass(frozen=True)
class KrumOptions:
    """Of Krum and multi-Krum.

    Attributes:
        attackers: share of the clients that may lie.
        rate: how much of the result is taken.
    """

    attackers: float = 0.25
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.attackers < 0.5:
            raise InputError(
                f"attackers = {self.attackers:g}: Krum holds against fewer than half.", "Use less than 0.5."
            )


def krum_scores(rows: Tensor, attackers: float) -> tuple[Tensor, int]:
    """Gives [K] scores of rows [K, P], lower is better, and how many clients may lie.

    The score is the sum of squared distances to the K - f - 2 nearest (Blanchard et al. 2017, section 4),
    with f = attackers * K, rounded up, but at most what K allows (K >= 2 f + 3).
    """
    count = len(rows)
    f = max(0, min(math.ceil(attackers * count), (count - 3) // 2))
    near = max(1, min(count - f - 2, count - 1))
    if count == 1:
        return torch.zeros(1), 0
    points = rows.double()
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared.fill_diagonal_(math.inf)
    return squared.sort(1).values[:, :near].sum(1), f
