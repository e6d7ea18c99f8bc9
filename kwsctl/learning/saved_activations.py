"""Counts, to the byte, what autograd keeps between the forward and the backward pass.

Every tensor that a node of the graph saves passes `torch.autograd.graph.saved_tensors_hooks`. Several nodes
often save the same memory, so what counts are storages, each once; weights and buffers are there anyway
and do not count. A storage is released when the last node that saved it is gone, so that what a backward
pass keeps for a moment, when it computes activations anew, counts as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SavedActivations:
    """The running count.

    Attributes:
        bytes: kept now.
        peak_bytes: the most that was kept at any time.

    Args:
        model: whose weights and buffers do not count.
    """

    def __init__(self, model: nn.Module) -> None:
        self.bytes = self.peak_bytes = 0
        self._holders: dict[int, int] = {}
        resident = [*model.parameters(), *model.buffers()]
        self._resident = {tensor.untyped_storage().data_ptr() for tensor in resident}

    def taken(self, tensor: Tensor) -> None:
        """Counts a tensor that a node saves."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._resident:
            return
        if place not in self._holders:
            self.bytes += storage.nbytes()
            self.peak_bytes = max(self.peak_bytes, self.bytes)
        self._holders[place] = self._holders.get(place, 0) + 1

    def given_back(self, tensor: Tensor) -> None:
        """Counts that a node no longer holds what it saved."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place not in self._holders:
            return
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.bytes -= storage.nbytes()


class _Held:
    """A saved tensor, as long as its node lives."""

    def __init__(self, tensor: Tensor, count: SavedActivations) -> None:
        self.tensor, self.count = tensor, count
        count.taken(tensor)

    def __del__(self) -> None:
        self.count.given_back(self.tensor)


@contextmanager
def saved_activations(model: nn.Module) -> Iterator[SavedActivations]:
    """Counts what is saved by the forward and backward passes in the block.

    Args:
        model: whose weights and buffers do not count.

    Yields:
        The running count.
    """
    count = SavedActivations(model)

    def pack(tensor: Tensor) -> _Held:
        return _Held(tensor, count)

    def unpack(held: _Held) -> Tensor:
        return held.tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield count
