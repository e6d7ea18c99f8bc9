"""The three products of a layer in int8 with int32 sums: what a device without floating point does.

The same functions as in `kwsctl.learning.layer_products`, with the same whole numbers as results, to the
last bit. A convolution is a product of matrices here: every place that the kernel visits is a row.
Activations fill 0 to 255; they are moved by 128 to fit int8, and what the move adds to the sums is taken
off again:

    sum (x - o + o) w = sum (x - o) w + o * sum w

Linear layers and ungrouped convolutions over time are served, and convolutions over time and frequency with
a kernel of one; the others have too few terms in a sum to gain from it.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.learning.layer_products import Layer

MIDDLE = 128


def serves(layer: Layer, arithmetic: str) -> bool:
    """Tells whether a layer can be computed here, and whether that is asked for."""
    if arithmetic != "integer" or layer.weight.device.type != "cpu":
        return False
    if isinstance(layer, nn.Linear):
        return True
    plain = layer.groups == 1 and set(layer.dilation) == {1} and not isinstance(layer.padding, str)
    return plain and (isinstance(layer, nn.Conv1d) or set(layer.kernel_size) == {1})


class Moved(NamedTuple):
    """Whole numbers that were moved into the range of int8.

    Attributes:
        codes: int8, any shape.
        by: what was taken off.
    """

    codes: Tensor
    by: int

    def shaped(self, codes: Tensor) -> Moved:
        """Gives the same numbers in another arrangement."""
        return Moved(codes, self.by)


def moved(x: Tensor) -> Moved:
    """Moves whole numbers that span, with zero, at most 255 into the range of int8.

    Args:
        x: as floats or integers, any shape.

    Returns:
        The same numbers, less how far they were moved.
    """
    least, most = torch.aminmax(x)
    low, high = min(int(least), 0), max(int(most), 0)  # padding is zero, and has to fit, too
    by = 0 if low >= -MIDDLE and high < MIDDLE else low + MIDDLE
    return Moved((x - by if by else x).to(torch.int8), by)


def product(a: Moved, b: Moved) -> Tensor:
    """Multiplies matrices of whole numbers.

    Args:
        a: [M, K].
        b: [K, N].

    Returns:
        [M, N] int32, exact.
    """
    total = torch._int_mm(_plain(a.codes), _plain(b.codes))
    if a.by:
        total += a.by * b.codes.sum(0, dtype=torch.int32)
    if b.by:
        rows = a.codes.sum(1, keepdim=True, dtype=torch.int32)
        total += b.by * rows + a.by * b.by * a.codes.shape[1]
    return total


def _plain(matrix: Tensor) -> Tensor:
    """Lays a matrix out by rows or by columns without gaps; a row alone may come with strides of its own."""
    if min(matrix.shape) > 1 and matrix.T.is_contiguous():
        return matrix
    return matrix.contiguous().view(-1).view(matrix.shape)


def output(layer: Layer, x: Tensor, weight: Tensor) -> Tensor:
    """Computes the output without bias, see `layer_products.output`."""
    given, kernel = moved(x), moved(weight)
    if isinstance(layer, nn.Linear):
        flat = given.shaped(given.codes.reshape(-1, x.shape[-1]))
        return product(flat, kernel.shaped(kernel.codes.T)).float().view(*x.shape[:-1], -1)
    rows, shape = _rows(layer, given)
    total = product(rows, kernel.shaped(kernel.codes.flatten(1).T))
    return total.float().view(len(x), -1, weight.shape[0]).transpose(1, 2).reshape(len(x), -1, *shape)


def gradients(
    layer: Layer, gradient: Tensor, x: Tensor | None, weight: Tensor, shape: torch.Size
) -> tuple[Tensor | None, Tensor | None]:
    """Computes the gradients of the input and of the weight, see `layer_products.gradients`."""
    given, kernel = moved(gradient), moved(weight)
    if isinstance(layer, nn.Linear):
        flat = given.shaped(given.codes.reshape(-1, gradient.shape[-1]))
    else:
        flat = given.shaped(given.codes.flatten(2).transpose(1, 2).reshape(-1, gradient.shape[1]))
    to_weight = None
    if x is not None:
        before = moved(x)
        if isinstance(layer, nn.Linear):
            rows = before.shaped(before.codes.reshape(-1, x.shape[-1]))
        else:
            rows, _ = _rows(layer, before)
        to_weight = product(flat.shaped(flat.codes.T), rows).float().view_as(weight)
    if not shape:
        return None, to_weight
    spread = product(flat, kernel.shaped(kernel.codes.flatten(1))).float()
    if isinstance(layer, nn.Linear):
        return spread.view(*gradient.shape[:-1], -1), to_weight
    return _gathered(layer, spread, gradient.shape, shape), to_weight


def _rows(layer: nn.Conv1d | nn.Conv2d, x: Moved) -> tuple[Moved, torch.Size]:
    """Gives what the kernel sees at every place of [B, C, ...] as a row [B * places, C * kernel]."""
    padding, channels = cast("tuple[int, ...]", layer.padding), x.codes.shape[1]
    zero = -x.by  # padding stands for zero, which was moved, too
    padded = fn.pad(x.codes, [p for p in reversed(padding) for _ in range(2)], value=zero)
    if isinstance(layer, nn.Conv2d):
        strided = padded[:, :, :: layer.stride[0], :: layer.stride[1]]
        return x.shaped(strided.flatten(2).transpose(1, 2).reshape(-1, channels)), strided.shape[2:]
    seen = padded.unfold(2, layer.kernel_size[0], layer.stride[0])  # [B, C, places, kernel]
    return x.shaped(seen.transpose(1, 2).reshape(-1, channels * layer.kernel_size[0])), seen.shape[2:3]


def _gathered(layer: nn.Conv1d | nn.Conv2d, spread: Tensor, after: torch.Size, before: torch.Size) -> Tensor:
    """Adds up what every place of the output [B * places, C * kernel] says about the input."""
    padding, kernel, stride = (
        cast("tuple[int, ...]", v) for v in (layer.padding, layer.kernel_size, layer.stride)
    )
    wide = [size + 2 * pad for size, pad in zip(before[2:], padding, strict=True)]
    total = spread.new_zeros(before[0], before[1], *wide)
    if isinstance(layer, nn.Conv2d):
        places = spread.view(before[0], *after[2:], before[1]).permute(0, 3, 1, 2)
        total[:, :, :: stride[0], :: stride[1]] = places
        top, left = padding
        return total[:, :, top : top + before[2], left : left + before[3]]
    places = spread.view(before[0], after[2], before[1], kernel[0]).permute(0, 2, 3, 1)
    last = (after[2] - 1) * stride[0] + 1
    for at in range(kernel[0]):
        total[:, :, at : at + last : stride[0]] += places[:, :, at]
    return total[:, :, padding[0] : padding[0] + before[2]]
