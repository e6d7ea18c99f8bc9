"""Random numbers for clips of several owners at once, each drawn by the owner's own generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Draws for B clips, those of one owner after those of the other.

    What an owner's clips get does not depend on who else is there; it is drawn on the CPU, so that every
    device gets the same.

    Attributes:
        generators: one for each owner.
        sizes: how many clips each has; B in all.
    """

    generators: Sequence[torch.Generator]
    sizes: Sequence[int]

    def uniform(self, low: float, high: float, *more: int) -> Tensor:
        """Gives [B, *more] numbers between two limits."""
        return self._each(lambda n, own: low + (high - low) * torch.rand(n, *more, generator=own))

    def integers(self, low: int, end: int, *more: int) -> Tensor:
        """Gives [B, *more] integers from `low` on, all below `end`."""
        return self._each(lambda n, own: torch.randint(low, end, (n, *more), generator=own))

    def of(self, chosen: Tensor) -> Draws:
        """Gives the same for those of the clips alone that are chosen, [B]."""
        parts = torch.split(chosen, list(self.sizes))
        return Draws(self.generators, [int(part.sum()) for part in parts])

    def _each(self, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        return torch.cat([draw(n, own) for n, own in zip(self.sizes, self.generators, strict=True)])
