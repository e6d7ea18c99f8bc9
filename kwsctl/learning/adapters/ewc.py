"""Tunes every weight, each held back by how much the global model needs it (EWC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import Tuning, changes, tuned
from kwsctl.seeding import torch_generator

LEARNING_RATE, STAY = 5e-4, 10.0
WORDS = 64
LARGEST = 100.0
"""Of an importance; a few weights that would hardly move at all would make the steps unstable."""


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how."""
    return Tuning(
        lambda net: list(net.parameters()), LEARNING_RATE, STAY, distillation=0.0, importance=importance
    )


def learn(task: Enrolment) -> Delta:
    """Tunes the whole network by elastic weight consolidation, without distillation.

    Kirkpatrick et al. 2017 (arXiv 1612.00796), equation 3.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of all weights.
    """
    network = tuned(task, tuning(task))
    return task.delta(changes(task, network), "ewc", learning_rate=LEARNING_RATE, stay=STAY)


def importance(task: Enrolment, network: nn.Module, free: Sequence[nn.Parameter]) -> list[Tensor]:
    """Estimates the diagonal of the Fisher information of what the global model knows.

    That is its embedding, which is taken for the mean of a normal distribution of variance 1: the Fisher
    information is the mean square of the slopes of the embedding. Their sum over the dimensions is estimated
    with one random direction a word.

    Args:
        task: its negatives are words of many people.
        network: as it is before it is tuned.
        free: the weights.

    Returns:
        One tensor a weight, on average 1.
    """
    draw = torch_generator(task.seed, "importance")
    rows = torch.randperm(len(task.negatives), generator=draw)[:WORDS]
    found = [torch.zeros_like(part) for part in free]
    for row in rows.tolist():
        embedding = cast(Tensor, network.embed(task.negatives[row : row + 1]))  # type: ignore[operator]
        direction = torch.randn(embedding.shape, generator=draw)
        slopes = torch.autograd.grad((embedding * direction).sum(), free, allow_unused=True)
        for total, slope in zip(found, slopes, strict=True):
            if slope is not None:  # the head does not make the embedding
                total += slope.square()
    mean = torch.cat([part.flatten() for part in found]).mean().clamp_min(1e-12)
    return [(part / mean).clamp_max(LARGEST) for part in found]
