"""Whole numbers of a few bits, with a scale for each block of weights."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.errors import InputError


def quantized(vector: Tensor, block: int, largest: int) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Rounds each block of a vector [P] to whole numbers from -largest to largest.

    Args:
        vector: [P].
        block: numbers with one scale.
        largest: whole number that stands for the largest of a block.

    Returns:
        [P] whole numbers, and one scale for each block in half precision.
    """
    check_block(block)
    n_blocks = -(-len(vector) // block)
    padded = np.zeros(n_blocks * block, dtype=np.float32)
    padded[: len(vector)] = vector.numpy()
    rows = padded.reshape(n_blocks, block)
    with np.errstate(over="ignore"):
        scales = (np.abs(rows).max(1) / largest).astype(np.float16)
    # Subnormal scales would lose all digits: what is so small is sent as nothing.
    scales[scales < np.finfo(np.float16).tiny] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.rint(np.nan_to_num(rows / scales[:, None].astype(np.float32)))
    return np.clip(whole, -largest, largest).astype(np.int8).ravel()[: len(vector)], scales


def restored(whole: NDArray[np.int8], scales: NDArray[np.float16], block: int) -> Tensor:
    """Multiplies whole numbers [P] by the scales of their blocks."""
    by_number = np.repeat(scales.astype(np.float32), block)[: len(whole)]
    return torch.from_numpy(whole.astype(np.float32) * by_number)


def check_block(block: int) -> None:
    """Refuses a block without numbers."""
    if block < 1:
        raise InputError(f"block = {block} holds nothing.", "Use at least 1, usually 256.")


def expect(payload: bytes, size: int, name: str) -> None:
    """Refuses a payload of another length: what is cut off or made up would be read as weights."""
    if len(payload) != size:
        raise InputError(
            f"A payload of {name} has {len(payload)} bytes, {size} were expected.", "Send it again, whole."
        )
