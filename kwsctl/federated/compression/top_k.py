"""Only the largest numbers, with their places."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Of top-k.

    Attributes:
        share: of the numbers that is sent, at least one.
    """

    share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share = {self.share:g} sends nothing.", "Use more than 0, at most 1.")


def encode(changes: Mapping[str, Tensor], options: Options) -> bytes:
    """Sends the places of the largest numbers, as bits or indices, whichever is shorter, and the values.

    With error feedback, see Stich et al. 2018, arXiv 1809.07599.
    """
    vector = layout_of(changes).vector(changes)
    k = _count(len(vector), options)
    places = torch.sort(vector.abs().topk(k).indices).values
    largest = float(np.finfo(np.float16).max)
    values = vector[places].clamp(-largest, largest).numpy().astype("<f2").tobytes()
    if _as_bits(len(vector), k):
        marked = np.zeros(len(vector), dtype=np.uint8)
        marked[places.numpy()] = 1
        return np.packbits(marked).tobytes() + values
    return places.numpy().astype(_index(len(vector))).tobytes() + values


def decode(payload: bytes, layout: Layout, options: Options) -> dict[str, Tensor]:
    """Puts the values in their places, and zeros elsewhere."""
    k = _count(layout.size, options)
    bits = _as_bits(layout.size, k)
    head = -(-layout.size // 8) if bits else k * np.dtype(_index(layout.size)).itemsize
    expect(payload, head + 2 * k, "top_k")
    if bits:
        marked = np.unpackbits(np.frombuffer(payload[:head], np.uint8))[: layout.size]
        places = np.flatnonzero(marked)
    else:
        places = np.frombuffer(payload[:head], _index(layout.size)).astype(np.int64)
    if len(places) != k or (k and places.max() >= layout.size):
        raise InputError(
            f"A payload of top_k names {len(places)} places, {k} were expected.", "Send it again."
        )
    vector = np.zeros(layout.size, dtype=np.float32)
    vector[places] = np.frombuffer(payload[head:], "<f2")
    return layout.tensors(torch.from_numpy(vector))


def _count(size: int, options: Options) -> int:
    return min(size, max(1, round(options.share * size)))


def _index(size: int) -> str:
    return "<u2" if size <= 1 << 16 else "<u4"


def _as_bits(size: int, k: int) -> bool:
    return -(-size // 8) < k * np.dtype(_index(size)).itemsize
