"""Tells all words of the training set apart, by cosine and with a margin."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as fn

MARGIN = 0.1


def loss(embedding: Tensor, target: Tensor, proxies: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """Computes the additive-margin softmax (Wang et al. 2018, arXiv 1801.05599, equation 6).

    Args:
        embedding: [B, E] of length one.
        target: [B] index of the word, -1 for none: these clips must be far from every word.
        proxies: [V, E] one direction for each word.
        scale: of cosines, a scalar.

    Returns:
        The loss, and how many clips were nearest to their own word.
    """
    known = target >= 0
    cosine = embedding[known] @ fn.normalize(proxies, dim=1).T
    own = fn.one_hot(target[known], len(proxies)).to(cosine.dtype)
    value = fn.cross_entropy(scale * (cosine - MARGIN * own), target[known])
    return value, float((cosine.argmax(1) == target[known]).sum())
