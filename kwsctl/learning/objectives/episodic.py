"""Plays enrolment: some words of the batch are enrolled, the others are strangers that must be refused."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.objectives._episode import episode

KNOWN_SHARE = 0.7
REFUSED_BELOW = 0.5  # the cosine at which a stranger and an enrolled word are equally likely


def loss(embedding: Tensor, target: Tensor, proxies: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """Computes the loss of open-set episodes: as the prototypical one, with one more answer, "none of them".

    After dummy prototypes (Kim et al. 2022, arXiv 2206.13691), with one fixed cosine in the place of learned
    dummies: what an enrolled word is compared with later is a fixed threshold, too.

    Args:
        embedding: [B, E] of length one.
        target: [B] index of the word, at least two clips of each.
        proxies: not used.
        scale: of cosines, a scalar.

    Returns:
        The loss, and how many clips were told right (those that asked, for all).
    """
    query, prototypes = episode(embedding, target)
    # The first clip of the batch decides who is a stranger; batches are drawn at random.
    place = (torch.arange(len(query), device=target.device) + target[0]) % len(query)
    n_known = max(1, round(KNOWN_SHARE * len(query)))
    cosine = query @ prototypes[place.argsort()[:n_known]].T
    none = torch.full_like(cosine[:, :1], REFUSED_BELOW)
    logits = scale * torch.cat([cosine, none], 1)
    wanted = place.clamp_max(n_known)
    right = (logits.argmax(1) == wanted).float().mean()
    return fn.cross_entropy(logits, wanted), float(right) * len(target)
