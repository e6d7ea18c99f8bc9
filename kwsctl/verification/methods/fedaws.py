"""FedAWS: a positive loss on the devices, and a server that spreads the embeddings of the users it sees.

Yu et al. 2020, arXiv 2004.10342, algorithm 1: every device moves its own embedding only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.verification.options import VerificationOptions

NEEDS_ROWS = True
SOLE_ROWS = True  # a device moves its own row only, and the mean over devices would shrink that


def targets(names: Sequence[str], options: VerificationOptions, seed: int) -> Tensor:
    """Gives [U, U] which output is whose."""
    return torch.eye(len(names))


def loss(outputs: Tensor, target: Tensor, user: Tensor, options: VerificationOptions) -> Tensor:
    """Gives [B] the squared distance of outputs [B, U] (cosines) to the user's own embedding."""
    return (1 - (outputs * target).sum(-1)).square()


def score(outputs: Tensor, target: Tensor, user: int) -> Tensor:
    """Gives [B] the cosine of outputs [B, U] with the embedding of a user."""
    return outputs[:, user]


def spread(rows: Tensor, options: VerificationOptions, rate: float) -> Tensor:
    """Pushes embeddings [U, E] apart that are closer than the margin, and gives them length one.

    Args:
        rows: after the round.
        options: margin nu (of distances 1 - cosine) and step size lambda of `reg_sp`.
        rate: learning rate of the devices.

    Returns:
        What the server sends out.
    """
    apart = fn.normalize(rows, dim=1).requires_grad_(True)
    distance = 1 - apart @ apart.T
    near = torch.relu(options.margin - distance).square()
    loss_of_all = near.sum() - near.diagonal().sum()
    (push,) = torch.autograd.grad(loss_of_all, apart)
    return fn.normalize(apart.detach() - options.spread * rate * push, dim=1)
