"""Finds the other clips of the same word among those of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.objectives._episode import episode


def loss(embedding: Tensor, target: Tensor, proxies: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """Computes the angular prototypical loss.

    Snell et al. 2017, arXiv 1703.05175, equation 2; with cosines and a learned scale as in Chung et al. 2020,
    arXiv 2003.11982, section 2.2. One clip of each word asks, the mean of its others is the prototype.

    Args:
        embedding: [B, E] of length one.
        target: [B] index of the word, at least two clips of each.
        proxies: not used.
        scale: of cosines, a scalar.

    Returns:
        The loss, and how many clips were nearest to their own word (those that asked, for all).
    """
    query, prototypes = episode(embedding, target)
    logits = scale * query @ prototypes.T
    wanted = torch.arange(len(query), device=target.device)
    right = (logits.argmax(1) == wanted).float().mean()
    return fn.cross_entropy(logits, wanted), float(right) * len(target)
