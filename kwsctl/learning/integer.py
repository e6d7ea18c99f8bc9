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

from typing import cast

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


def product(a: Tensor, b: Tensor) -> Tensor:
    """Multiplies matrices of whole numbers from -255 to 255 that each span at most 255.

    Args:
        a: [M, K] as floats or integers.
        b: [K, N] likewise.

    Returns:
        [M, N] int32, exact.
    """
    (left, left_move), (right, right_move) = _moved(a), _moved(b)
    total = torch._int_mm(left, right)
    if left_move:
        total += left_move * right.sum(0, dtype=torch.int32)
    if right_move:
        total += (
            right_move * left.sum(1, keepdim=True, dtype=torch.int32) + left_move * right_move * a.shape[1]
        )
    return total


def _moved(x: Tensor) -> tuple[Tensor, int]:
    """Moves whole numbers into the range of int8, and says how far."""
    low, high = (int(v) for v in torch.aminmax(x))
    if low >= -MIDDLE and high < MIDDLE:
        return x.to(torch.int8), 0
    move = low + MIDDLE
    return (x - move).to(torch.int8), move


def output(layer: Layer, x: Tensor, weight: Tensor) -> Tensor:
    """Computes the output without bias, see `layer_products.output`."""
    if isinstance(layer, nn.Linear):
        total = product(x.reshape(-1, x.shape[-1]), weight.T)
        return total.float().view(*x.shape[:-1], -1)
    rows, shape = _rows(layer, x)
    total = product(rows, weight.flatten(1).T)
    return total.float().view(len(x), -1, weight.shape[0]).transpose(1, 2).reshape(len(x), -1, *shape)


def gradients(
    layer: Layer, gradient: Tensor, x: Tensor | None, weight: Tensor, shape: torch.Size
) -> tuple[Tensor | None, Tensor | None]:
    """Computes the gradients of the input and of the weight, see `layer_products.gradients`."""
    if isinstance(layer, nn.Linear):
        flat = gradient.reshape(-1, gradient.shape[-1])
        to_input = product(flat, weight).float().view(*gradient.shape[:-1], -1) if shape else None
        to_weight = None if x is None else product(flat.T, x.reshape(-1, x.shape[-1])).float()
        return to_input, to_weight
    to_weight = None
    if x is not None:
        rows, _ = _rows(layer, x)
        flat = gradient.flatten(2).transpose(1, 2).reshape(-1, gradient.shape[1])
        to_weight = product(flat.T, rows).float().view_as(weight)
    return (_to_input(layer, gradient, weight, shape) if shape else None), to_weight


def _rows(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> tuple[Tensor, torch.Size]:
    """Gives what the kernel sees at every place of [B, C, ...] as a row [B * places, C * kernel]."""
    padding = cast("tuple[int, ...]", layer.padding)
    padded = fn.pad(x, [p for p in reversed(padding) for _ in range(2)])
    if isinstance(layer, nn.Conv2d):
        strided = padded[:, :, :: layer.stride[0], :: layer.stride[1]]
        return strided.flatten(2).transpose(1, 2).reshape(-1, x.shape[1]), strided.shape[2:]
    seen = padded.unfold(2, layer.kernel_size[0], layer.stride[0])  # [B, C, places, kernel]
    return seen.transpose(1, 2).reshape(-1, x.shape[1] * layer.kernel_size[0]), seen.shape[2:3]


def _to_input(layer: nn.Conv1d | nn.Conv2d, gradient: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """Adds up what every place of the output says about the input."""
    rows = gradient.flatten(2).transpose(1, 2).reshape(-1, gradient.shape[1])
    spread = product(rows, weight.flatten(1)).float()  # [B * places, C * kernel]
    padding, kernel, stride = (
        cast("tuple[int, ...]", v) for v in (layer.padding, layer.kernel_size, layer.stride)
    )
    wide = [size + 2 * pad for size, pad in zip(shape[2:], padding, strict=True)]
    total = gradient.new_zeros(shape[0], shape[1], *wide)
    if isinstance(layer, nn.Conv2d):
        places = spread.view(shape[0], *gradient.shape[2:], shape[1]).permute(0, 3, 1, 2)
        total[:, :, :: stride[0], :: stride[1]] = places
        top, left = padding
        return total[:, :, top : top + shape[2], left : left + shape[3]]
    places = spread.view(shape[0], gradient.shape[2], shape[1], kernel[0]).permute(0, 2, 3, 1)
    last = (gradient.shape[2] - 1) * stride[0] + 1
    for at in range(kernel[0]):
        total[:, :, at : at + last : stride[0]] += places[:, :, at]
    return total[:, :, padding[0] : padding[0] + shape[2]]
