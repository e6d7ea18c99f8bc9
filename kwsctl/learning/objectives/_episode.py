"""Splits a batch into clips that enrol words and clips that ask for them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as fn


class Episode(NamedTuple):
    """One batch as an enrolment.

    Attributes:
        query: [W, E] one clip of each word.
        prototypes: [W, E] direction of the mean of its other clips.
    """

    query: Tensor
    prototypes: Tensor


def episode(embedding: Tensor, target: Tensor) -> Episode:
    """Takes the first clip of each word to ask with, and all others to enrol it.

    Args:
        embedding: [B, E] of length one.
        target: [B] index of the word, at least two clips of each.

    Returns:
        The words in the order of their indices.
    """
    words, word = torch.unique(target, return_inverse=True)
    index = torch.arange(len(target), device=target.device)
    first = torch.full((len(words),), len(target), device=target.device)
    first = first.scatter_reduce(0, word, index, "amin")
    enrols = torch.ones(len(target), dtype=torch.bool, device=target.device)
    enrols[first] = False
    sums = embedding.new_zeros(len(words), embedding.shape[1])
    sums = sums.index_add(0, word[enrols], embedding[enrols])
    return Episode(embedding[first], fn.normalize(sums, dim=1))
