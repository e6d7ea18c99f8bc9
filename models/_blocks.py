"""Layers that several architectures share: input scaling, normalization, and a head that can grow.

Shapes use the letters of `kwsctl.types`: B clips, F mel bins, T frames, C channels, E embedding,
L labels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "group"]
MAX_GROUPS = 8


class Standardize(nn.Module):
    """Shifts and scales each mel bin by the mean and spread of the training data.

    Attributes:
        mean: [F], 0 until training sets it.
        std: [F], 1 until training sets it.

    Args:
        n_bins: number of mel bins, F.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("std", torch.ones(n_bins))

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to standardized features [B, F, T]."""
        return (x - self.mean[:, None]) / self.std[:, None]


def group_count(channels: int) -> int:
    """Gives the number of groups of group normalization: the largest divisor up to `MAX_GROUPS`."""
    return max(n for n in range(1, MAX_GROUPS + 1) if channels % n == 0)


def normalization(kind: Norm, channels: int, *, dims: int = 1) -> nn.Module:
    """Makes the normalization of activations [B, C, T] or [B, C, F, T].

    Group normalization (Wu & He 2018) takes its statistics within one clip. It is for learning from
    few or unequally distributed clips, where the batch statistics of one device mislead the others.

    Args:
        kind: `batch` or `group`.
        channels: C.
        dims: 1 for [B, C, T], 2 for [B, C, F, T].

    Returns:
        A layer that keeps the shape.
    """
    if kind == "group":
        return nn.GroupNorm(group_count(channels), channels)
    return nn.BatchNorm1d(channels) if dims == 1 else nn.BatchNorm2d(channels)


def scaled(channels: int, width: float) -> int:
    """Gives a number of channels times a width multiplier, rounded down, at least 1."""
    return max(1, int(channels * width))


@torch.no_grad()
def grow_head(head: nn.Linear, n_more: int) -> nn.Linear:
    """Copies a head and adds rows for new labels, leaving the logits of the old ones bit-identical.

    The new rows start at the mean of the old ones, so that a new label neither wins nor loses before
    it is trained.

    Args:
        head: [E] to [L].
        n_more: labels to add.

    Returns:
        A head [E] to [L + n_more].
    """
    grown = nn.Linear(
        head.in_features, head.out_features + n_more, dtype=head.weight.dtype, device=head.weight.device
    )
    grown.weight.copy_(torch.cat([head.weight, head.weight.mean(0, keepdim=True).expand(n_more, -1)]))
    grown.bias.copy_(torch.cat([head.bias, head.bias.mean().expand(n_more)]))
    return grown
