"""Half a byte a number, with a scale for each block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kwsctl.federated.compression._blocks import check_block, expect, quantized, restored
from kwsctl.federated.layout import Layout, layout_of

BIASED, COMMON_GRID = True, True
LARGEST = 7


@dataclass(frozen=True)
class Options:
    """Of block quantization.

    Attributes:
        block: numbers with one scale.
    """

    block: int = 128


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Rounds to the nearest of 15 steps, two numbers to a byte."""
    whole, scales = quantized(layout_of(changes).vector(changes), options.block, LARGEST)
    shifted = np.zeros(len(whole) + len(whole) % 2, dtype=np.uint8)
    shifted[: len(whole)] = whole + LARGEST
    return scales.astype("<f2").tobytes() + (shifted[0::2] | shifted[1::2] << 4).astype(np.uint8).tobytes()


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Reads scales and whole numbers."""
    check_block(options.block)
    n_blocks = -(-layout.size // options.block)
    expect(payload, 2 * n_blocks + -(-layout.size // 2), "int4")
    scales = np.frombuffer(payload[: 2 * n_blocks], "<f2")
    pairs = np.frombuffer(payload[2 * n_blocks :], np.uint8)
    whole = np.stack([pairs & 15, pairs >> 4], 1).ravel()[: layout.size].astype(np.int8) - LARGEST
    return layout.tensors(restored(whole.astype(np.int8), scales, options.block))
