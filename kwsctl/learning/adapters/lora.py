"""Tunes low-rank additions to the weights, which take a fraction of the room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kwsctl.bundle import LOW_RANK_DOWN, LOW_RANK_UP, Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import Tuning, changes, tuned

LEARNING_RATE, STAY, RANK = 5e-3, 0.01, 2


class _LowRank(nn.Module):
    """Adds a product of two thin matrices to a weight that is seen as a matrix [outputs, everything else]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.up = nn.Parameter(torch.zeros(rows, RANK))
        start = torch.randn(RANK, columns, generator=torch.Generator().manual_seed(0))
        self.down = nn.Parameter(start / columns**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """Adds the product of the two."""
        return weight + (self.up @ self.down).view_as(weight)


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how."""
    return Tuning(_add, LEARNING_RATE, STAY)


def learn(task: Enrolment) -> Delta:
    """Tunes rank-2 additions to convolutions and projections (Hu et al. 2021, arXiv 2106.09685), and the row.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        The two thin matrices of each weight, and the change of the head.
    """
    network = tuned(task, tuning(task))
    factors: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            added = module.parametrizations["weight"][0]
            factors[f"{name}.weight{LOW_RANK_UP}"] = added.up.detach().clone()
            factors[f"{name}.weight{LOW_RANK_DOWN}"] = added.down.detach().clone()
            parametrize.remove_parametrizations(module, "weight")
    head = {k: v for k, v in changes(task, network).items() if k.startswith("head.")}
    return task.delta(factors | head, "lora", learning_rate=LEARNING_RATE, stay=STAY, rank=RANK)


def _add(network: nn.Module) -> Sequence[nn.Parameter]:
    """Adds the matrices and gives what is to be tuned."""
    free = list(cast(nn.Linear, network.head).parameters())
    for name, module in network.named_modules():
        if (
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
            and name != "head"
            and module.weight[0].numel() > RANK
        ):
            added = _LowRank(module.weight)
            parametrize.register_parametrization(module, "weight", added)
            free += [added.up, added.down]
    return free
