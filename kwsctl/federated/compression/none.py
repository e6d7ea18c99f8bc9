"""Every number in single precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.federated.compression._blocks import expect
from kwsctl.federated.layout import Layout, layout_of

BIASED, COMMON_GRID = False, True


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Writes four bytes a number."""
    return layout_of(changes).vector(changes).numpy().astype("<f4").tobytes()


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Reads four bytes a number."""
    expect(payload, 4 * layout.size, "none")
    return layout.tensors(torch.from_numpy(np.frombuffer(payload, "<f4").astype(np.float32)))
