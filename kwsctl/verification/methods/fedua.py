"""FedUA: random binary vectors instead of codewords (Hosseini et al. 2020, arXiv 2007.04618)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kwsctl.seeding import numpy_generator
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
    rows = [
        codes.signs(
            numpy_generator(seed, "random code", name).integers(0, 2, options.length).astype(np.uint8)
        )
        for name in names
    ]
    return torch.from_numpy(np.stack(rows))


def loss(outputs: Tensor, target: Tensor, user: Tensor, options: VerificationOptions) -> Tensor:
    """Gives [B] the distance of outputs [B, c] to the user's code [c]; nobody else's is needed."""
    return positive_loss(outputs, target)


def score(outputs: Tensor, target: Tensor, user: int) -> Tensor:
    """Gives [B] the agreement of outputs [B, c] with the user's code [c]."""
    return agreement(outputs, target)
