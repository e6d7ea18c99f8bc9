"""Uniform grids that numbers are rounded to, with zero on the grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.learning.estimators._range import Range

SMALLEST = 1e-12  # a range must have a width


@dataclass(frozen=True)
class Grid:
    """Whole numbers from `least` to `most`, times a scale.

    Zero is a point of every grid, because padding and what ReLU gives are zero and must stay so.

    Attributes:
        scale: distance of two points; for weights by channel, [C, 1, ...].
        least: the lowest whole number, at most 0.
        most: the highest.
    """

    scale: float | Tensor
    least: int
    most: int

    def codes(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Rounds to the grid.

        Args:
            x: any shape.
            noise: of the same shape, uniform in [0, 1): rounds up or down at random, right on average;
                None rounds to the nearest.

        Returns:
            Whole numbers as floats, of the same shape; what lies outside is clipped.
        """
        scaled = x / self.scale
        rounded = scaled.round_() if noise is None else scaled.add_(noise).floor_()
        return rounded.clamp_(self.least, self.most)

    def stored(self, codes: Tensor) -> Tensor:
        """Packs whole numbers into a byte each."""
        return (codes - self.least).to(torch.uint8)

    def restored(self, packed: Tensor) -> Tensor:
        """Gives back the whole numbers as floats."""
        return packed.float().add_(self.least)


def grid_of(found: Range, bits: int, *, symmetric: bool) -> Grid:
    """Lays a grid over a range.

    Args:
        found: the range; it is widened to hold zero.
        bits: 2 ** bits points, one less if symmetric.
        symmetric: zero in the middle.

    Returns:
        The grid.
    """
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    if symmetric:
        most = 2 ** (bits - 1) - 1
        return Grid(max(-low, high, SMALLEST) / most, -most, most)
    steps = 2**bits - 1
    scale = max(high - low, SMALLEST) / steps
    least = -round(-low / scale)
    return Grid(scale, least, least + steps)


def weight_grid(weight: Tensor, bits: int, *, by_channel: bool) -> Grid:
    """Lays a symmetric grid over a weight as it is: weights are at hand, so their range costs nothing.

    Args:
        weight: [C, ...].
        bits: of the grid.
        by_channel: a scale for each output.

    Returns:
        The grid.
    """
    most = 2 ** (bits - 1) - 1
    if not by_channel:
        return Grid(max(float(weight.abs().max()), SMALLEST) / most, -most, most)
    largest = weight.abs().flatten(1).amax(1).clamp_min(SMALLEST)
    return Grid((largest / most).view(-1, *[1] * (weight.ndim - 1)), -most, most)


def seen(x: Tensor) -> Range:
    """Gives the minimum and maximum of a tensor."""
    low, high = torch.aminmax(x.detach())
    return Range(float(low), float(high))
