"""FedUV: codewords of a BCH code and a positive loss alone (Hosseini et al. 2021, arXiv 2104.08776)."""

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
        codes.codeword(
            number, codes.secret(options.length, numpy_generator(seed, "secret", name)), options.length
        )
        for number, name in enumerate(names)
    ]
    return torch.from_numpy(np.stack(rows))


def loss(outputs: Tensor, target: Tensor, user: Tensor, options: VerificationOptions) -> Tensor:
    """Gives [B] the distance of outputs [B, c] to the user's code [c]; nobody else's is needed."""
    return positive_loss(outputs, target)


def score(outputs: Tensor, target: Tensor, user: int) -> Tensor:
    """Gives [B] the agreement of outputs [B, c] with the user's code [c]."""
    return agreement(outputs, target)
