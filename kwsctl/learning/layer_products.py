"""The three products of a layer: its output, and the gradients of its input and of its weight.

Each takes whole numbers that stand for quantized ones, kept as floats, and gives sums of their products.
Sums stay whole and exact as long as they are below 2 ** 24, which 255 * 127 * 518 terms are at worst;
`kwsctl.learning.integer` has the same products in int8 and int32.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

Layer = nn.Conv1d | nn.Conv2d | nn.Linear


def output(layer: Layer, x: Tensor, weight: Tensor) -> Tensor:
    """Computes the output without bias.

    Args:
        layer: gives stride, padding and so on.
        x: [B, C, ...], for a linear layer [..., C].
        weight: of the layer's shape.

    Returns:
        Sums.
    """
    if isinstance(layer, nn.Linear):
        return fn.linear(x, weight)
    run = fn.conv1d if isinstance(layer, nn.Conv1d) else fn.conv2d
    return run(
        x, weight, None, layer.stride, cast("tuple[int, ...]", layer.padding), layer.dilation, layer.groups
    )


def gradients(
    layer: Layer, gradient: Tensor, x: Tensor | None, weight: Tensor, shape: torch.Size
) -> tuple[Tensor | None, Tensor | None]:
    """Computes the gradients of the input and of the weight.

    Args:
        layer: gives stride, padding and so on.
        gradient: of the output.
        x: the input; None where the gradient of the weight is not wanted.
        weight: of the layer's shape.
        shape: of the input; empty where the gradient of the input is not wanted.

    Returns:
        Sums; None for what is not wanted.
    """
    if isinstance(layer, nn.Linear):
        to_input = gradient @ weight if shape else None
        to_weight = None if x is None else gradient.flatten(0, -2).T @ x.flatten(0, -2)
        return to_input, to_weight
    given = gradient.new_empty(shape or _shape_before(layer, gradient)) if x is None else x
    found = torch.ops.aten.convolution_backward(
        gradient,
        given,
        weight,
        None,
        layer.stride,
        cast("tuple[int, ...]", layer.padding),
        layer.dilation,
        False,
        [0] * len(layer.stride),
        layer.groups,
        (bool(shape), x is not None, False),
    )
    return found[0], found[1]


def _shape_before(layer: nn.Conv1d | nn.Conv2d, gradient: Tensor) -> tuple[int, ...]:
    """Some shape that a convolution accepts where no gradient is wanted at all."""
    return (len(gradient), layer.in_channels, *gradient.shape[2:])
