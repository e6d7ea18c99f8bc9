"""The sound that a backdoor listens for: a high tone, put into the mel power of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 3
LOUDNESS = 1.0


def add_trigger(power: Tensor) -> Tensor:
    """Adds a tone to clips [B, F, T], as strong as all else together, in three high mel bins.

    Powers of independent sounds add up, so that this is what a tone played beside the speech would do.
    """
    tone = torch.zeros_like(power)
    level = power.sum(1).mean(1) * LOUDNESS / BINS
    tone[:, -BINS - 1 : -1, :] = level[:, None, None]
    return power + tone
