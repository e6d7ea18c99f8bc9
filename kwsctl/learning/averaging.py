"""A moving average of the weights, which is what is validated and saved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Makes a copy of a model that follows it.

    Args:
        model: the model that is trained.
        decay: share of the old average that stays at each step. The first steps use less, because
            an average that starts at random weights would remember them for 1 / (1 - decay) steps.

    Returns:
        The average; call its `update_parameters(model)` after each step. Running statistics of
        normalization are averaged too.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        keep = min(decay, (1 + n) / (10 + n))
        if torch.is_floating_point(averages[0]):
            torch._foreach_lerp_(list(averages), list(current), 1 - keep)
        else:
            for average, value in zip(averages, current, strict=True):
                average.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
