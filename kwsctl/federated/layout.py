"""The order in which the shared weights lie in one vector, for all that treats a `Delta` as a point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.bundle import Delta

NUMBER_BYTES = 4


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the shared weights.

    Letters of this part: K clients of a round, P shared numbers.

    Attributes:
        shapes: name and shape of each weight, sorted by name.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The weights, in order."""
        return tuple(name for name, _ in self.shapes)

    @property
    def size(self) -> int:
        """P, how many numbers there are."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    def vector(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Lays weights or changes end to end, [P] float32."""
        if not self.shapes:
            return torch.zeros(0)
        return torch.cat([tensors[name].detach().reshape(-1).float() for name in self.names])

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        """Cuts a vector [P] into weights of their names and shapes."""
        parts = torch.split(vector, [math.prod(shape) for _, shape in self.shapes])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes, parts, strict=True)}


def layout_of(tensors: Mapping[str, Tensor], names: Iterable[str] | None = None) -> Layout:
    """Makes the layout of some weights, by default of all."""
    chosen = sorted(tensors if names is None else names)
    return Layout(tuple((name, tuple(tensors[name].shape)) for name in chosen))


def stacked(deltas: Sequence[Delta]) -> tuple[Tensor, Layout]:
    """Gives changes as the rows of a matrix [K, P], and their layout."""
    layout = layout_of(deltas[0].changes)
    return torch.stack([layout.vector(delta.changes) for delta in deltas]), layout
