"""Two thin matrices for each weight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.compression._blocks import expect
from kwsctl.federated.layout import Layout, layout_of

BIASED, COMMON_GRID = True, False


@dataclass(frozen=True)
class Options:
    """Of low rank.

    Attributes:
        rank: r, of each weight that has more than one dimension.
    """

    rank: int = 1

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"rank = {self.rank} sends nothing.", "Use at least 1.")


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Sends the largest singular vectors, half precision (after Vogels et al. 2019, arXiv 1905.13727).

    PowerSGD finds them by one step of power iteration; these matrices are small enough to do it exactly.
    """
    return b"".join(
        part.clamp(-6e4, 6e4).contiguous().numpy().astype("<f2").tobytes()
        for name, shape in layout_of(changes).shapes
        for part in _factors(changes[name].detach().float(), shape, options.rank)
    )


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Multiplies the thin matrices out."""
    sizes = [list(_sizes(shape, options.rank)) for _, shape in layout.shapes]
    expect(payload, 2 * sum(math.prod(size) for parts in sizes for size in parts), "low_rank")
    numbers = torch.from_numpy(np.frombuffer(payload, "<f2").astype(np.float32))
    found, first = {}, 0
    for (name, shape), parts in zip(layout.shapes, sizes, strict=True):
        read = []
        for size in parts:
            read.append(numbers[first : first + math.prod(size)].view(size))
            first += math.prod(size)
        found[name] = (read[0] @ read[1] if len(read) == 2 else read[0]).reshape(shape)
    return found


def _sizes(shape: tuple[int, ...], rank: int) -> Iterator[tuple[int, ...]]:
    """Gives the sizes of what is sent of a weight: two matrices, or all of it where that is shorter."""
    if len(shape) > 1:
        n_out, n_in = shape[0], math.prod(shape[1:])
        if rank * (n_out + n_in) < n_out * n_in:
            yield from ((n_out, rank), (rank, n_in))
            return
    yield shape


def _factors(change: Tensor, shape: tuple[int, ...], rank: int) -> list[Tensor]:
    if len(list(_sizes(shape, rank))) == 1:
        return [change]
    left, size, right = torch.linalg.svd(change.reshape(shape[0], -1), full_matrices=False)
    root = size[:rank].sqrt()
    return [left[:, :rank] * root, root[:, None] * right[:rank]]
