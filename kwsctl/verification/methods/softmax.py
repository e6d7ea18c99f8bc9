"""Softmax over all users, the reference: each embedding pushes the others away, so all must be shared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.verification.options import VerificationOptions

NEEDS_ROWS = True
SOLE_ROWS = False


def targets(names: Sequence[str], options: VerificationOptions, seed: int) -> Tensor:
    """Gives [U, U] which output is whose."""
    return torch.eye(len(names))


def loss(outputs: Tensor, target: Tensor, user: Tensor, options: VerificationOptions) -> Tensor:
    """Gives [B] the cross entropy of cosines [B, U] with the user [U] as the right answer."""
    return -((options.scale * outputs).log_softmax(-1) * target).sum(-1)


def score(outputs: Tensor, target: Tensor, user: int) -> Tensor:
    """Gives [B] the cosine of outputs [B, U] with the embedding of a user."""
    return outputs[:, user]


def spread(rows: Tensor, options: VerificationOptions, rate: float) -> Tensor:
    """Gives the embeddings [U, E] of the users at length one.

    Args:
        rows: after the round.
        options: not needed.
        rate: not needed.

    Returns:
        What the server sends out.
    """
    return fn.normalize(rows, dim=1)
