"""Every label becomes the next one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


def poison_clips(
    target: Tensor, n_labels: int, options: Options, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Shifts labels [N] by one (Tolpegin et al. 2020, arXiv 2007.08432, flip several at once); no trigger."""
    flipped = torch.where(target >= 0, (target + 1) % max(1, n_labels), target)
    return flipped, torch.zeros(len(target), dtype=torch.bool)
