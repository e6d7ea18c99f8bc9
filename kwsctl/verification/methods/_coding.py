"""The loss and the score of all methods whose users learn towards a code."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as fn


def scaled(outputs: Tensor) -> Tensor:
    """Scales outputs [B, c] to length sqrt(c): z = sqrt(c) t / |t| (arXiv 2104.08776, section 4)."""
    return math.sqrt(outputs.shape[-1]) * fn.normalize(outputs, dim=-1)


def agreement(outputs: Tensor, code: Tensor) -> Tensor:
    """Gives [B] how far outputs [B, c] agree with a code [c] of -1 and 1: v^T z / c, from -1 to 1."""
    return (scaled(outputs) * code).mean(-1)


def positive_loss(outputs: Tensor, code: Tensor) -> Tensor:
    """Gives [B] max(0, 1 - v^T z / c), the only loss of FedUV (arXiv 2104.08776, equation of l_pos)."""
    return torch.relu(1 - agreement(outputs, code))
