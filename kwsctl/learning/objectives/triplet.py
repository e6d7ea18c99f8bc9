"""Keeps every clip nearer to all others of its word than to any of another word."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as fn

MARGIN = 0.5


def loss(embedding: Tensor, target: Tensor, proxies: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """Computes the batch-hard triplet loss (Hermans et al. 2017, arXiv 1703.07737, equation 5).

    Args:
        embedding: [B, E] of length one.
        target: [B] index of the word, at least two clips of each.
        proxies: not used.
        scale: not used.

    Returns:
        The loss, and how many clips were nearer to their farthest companion than to the nearest stranger.
    """
    distance = (2 - 2 * embedding @ embedding.T).clamp_min(1e-8).sqrt()
    same = target[:, None] == target
    farthest = distance.masked_fill(~same, float("-inf")).amax(1)
    nearest = distance.masked_fill(same, float("inf")).amin(1)
    value = fn.relu(farthest - nearest + MARGIN).mean()
    return value, float((farthest < nearest).sum())
