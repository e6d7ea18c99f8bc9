"""One byte a number, with a scale for each block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kwsctl.federated.compression._blocks import check_block, expect, quantized, restored
from kwsctl.federated.layout import Layout, layout_of

BIASED, COMMON_GRID = False, True
LARGEST = 127


@dataclass(frozen=True)
class Options:
    """Of block quantization.

    Attributes:
        block: numbers with one scale.
    """

    block: int = 256


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Rounds to the nearest of 255 steps (after Alistarh et al. 2017, arXiv 1610.02132)."""
    whole, scales = quantized(layout_of(changes).vector(changes), options.block, LARGEST)
    return scales.astype("<f2").tobytes() + whole.tobytes()


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Reads scales and whole numbers."""
    check_block(options.block)
    n_blocks = -(-layout.size // options.block)
    expect(payload, 2 * n_blocks + layout.size, "int8")
    scales = np.frombuffer(payload[: 2 * n_blocks], "<f2")
    return layout.tensors(restored(np.frombuffer(payload[2 * n_blocks :], np.int8), scales, options.block))
