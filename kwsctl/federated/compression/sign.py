"""One bit a number, with the mean size of each weight's block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.federated.compression._blocks import check_block, expect
from kwsctl.federated.layout import Layout, layout_of

BIASED, COMMON_GRID = True, False


@dataclass(frozen=True)
class Options:
    """Of signs.

    Attributes:
        block: numbers with one scale.
    """

    block: int = 2048


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Sends signs and mean sizes (EF-signSGD: Karimireddy et al. 2019, arXiv 1901.09847, alg. 1)."""
    check_block(options.block)
    vector = layout_of(changes).vector(changes)
    sizes = torch.stack([part.abs().mean() for part in torch.split(vector, options.block)])
    scales = sizes.clamp_max(float(np.finfo(np.float16).max)).numpy().astype("<f2")
    return scales.tobytes() + np.packbits((vector >= 0).numpy()).tobytes()


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Gives each number its sign and the mean size of its block."""
    check_block(options.block)
    n_blocks = -(-layout.size // options.block)
    expect(payload, 2 * n_blocks + -(-layout.size // 8), "sign")
    scales = np.frombuffer(payload[: 2 * n_blocks], "<f2").astype(np.float32)
    bits = np.unpackbits(np.frombuffer(payload[2 * n_blocks :], np.uint8))[: layout.size]
    size = np.repeat(scales, options.block)[: layout.size]
    return layout.tensors(torch.from_numpy(np.where(bits == 1, size, -size).astype(np.float32)))
