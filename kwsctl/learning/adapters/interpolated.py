"""Tunes every weight, goes part of the way there, and keeps the strongest directions of what changed."""

from __future__ import annotations

import torch
from torch import Tensor

from kwsctl.bundle import LOW_RANK_DOWN, LOW_RANK_UP, Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import Tuning, changes, tuned

LEARNING_RATE, STAY, DISTILLATION = 1e-3, 0.01, 3.0
SHARE, RANK = 0.7, 4


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how: more boldly than `full`, for the way is not gone to its end."""
    return Tuning(lambda net: list(net.parameters()), LEARNING_RATE, STAY, distillation=DISTILLATION)


def learn(task: Enrolment) -> Delta:
    """Interpolates between the base and a tuned network (WiSE-FT, Wortsman et al. 2021, arXiv 2109.01903).

    Few clips of one sitting say more of the sitting than of the person; halfway between the weights, what
    the base knew of other words is still there. The change of each convolution and projection is then cut
    to rank 4, which is the nearest such matrix (Eckart and Young 1936), in numbers of sixteen bits: a tenth
    of the size.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Thin matrices of the large weights, and the changes of all others.
    """
    found: dict[str, Tensor] = {}
    for name, change in changes(task, tuned(task, tuning(task))).items():
        found |= thin(name, SHARE * change, RANK)
    return task.delta(
        found,
        "interpolated",
        learning_rate=LEARNING_RATE,
        stay=STAY,
        distillation=DISTILLATION,
        share=SHARE,
        rank=RANK,
    )


def thin(name: str, change: Tensor, rank: int) -> dict[str, Tensor]:
    """Gives two thin matrices for the change of a weight, or the change where they would be no smaller.

    Args:
        name: of the weight.
        change: of it.
        rank: columns of the one matrix and rows of the other.

    Returns:
        By name, as a `Delta` has them, in sixteen bits where anything is cut.
    """
    rows, columns = change.shape[0], change[0].numel()
    if change.ndim == 1:
        return {name: change}
    # Of the head one row changes most, and others a little, each in its own direction.
    if name.startswith("head.") or rank * (rows + columns) >= rows * columns:
        return {name: change.half()}
    up, strength, down = torch.linalg.svd(change.reshape(rows, columns), full_matrices=False)
    return {
        name + LOW_RANK_UP: (up[:, :rank] * strength[:rank]).half(),
        name + LOW_RANK_DOWN: down[:rank].half(),
    }
