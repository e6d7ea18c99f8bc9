"""Rows of a Hadamard matrix as codes: all at right angles, but public, and as many as their length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kwsctl.verification import codes
from kwsctl.verification.methods._coding import agreement, positive_loss
from kwsctl.verification.options import VerificationOptions

NEEDS_ROWS = False


def targets(names: Sequence[str], options: VerificationOptions, seed: int) -> Tensor:
    """Gives the codes of simulated users, [U, c] of -1 and 1; on a device each is made where it is used.

    Args:
        names: of the users; a place in the list is the number that the server gives.
        options: length of the code.
        seed: of the secrets.

    Returns:
        A row for each user.
    """
    return torch.from_numpy(np.array(codes.hadamard(max(len(names), options.length))[: len(names)]))


def loss(outputs: Tensor, target: Tensor, user: Tensor, options: VerificationOptions) -> Tensor:
    """Gives [B] the distance of outputs [B, c] to the user's code [c]; nobody else's is needed."""
    return positive_loss(outputs, target)


def score(outputs: Tensor, target: Tensor, user: int) -> Tensor:
    """Gives [B] the agreement of outputs [B, c] with the user's code [c]."""
    return agreement(outputs, target)
