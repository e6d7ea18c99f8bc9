"""Convolutions and linear layers that compute with rounded numbers.

The input of every layer is rounded as it would be when the layer before writes it; so is the weight, and in
the backward pass the gradient of the output. From these whole numbers the layer's output, the gradient of its
input and the gradient of its weight are computed, and only then multiplied by the scales. The gradient passes
clipped entries, too, so that no mask is kept; for the backward pass an activation is kept in a byte each.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from kwsctl.learning import integer, integer_weights, layer_products
from kwsctl.learning.layer_products import Layer
from kwsctl.learning.rounding import ACTIVATION, GRADIENT, Rounding


class _Rounded(torch.autograd.Function):
    """A layer's products on rounded numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: Layer, learns: bool) -> Tensor:
        """Rounds and multiplies."""
        how = cast(Rounding, layer.rounding)
        grid = how.grid(layer, ACTIVATION, x, how.bits.activations, learns)
        weights = how.weight_grid(layer, weight)
        codes, weight_codes = grid.codes(x), weights.codes(weight)
        run = integer if integer.serves(layer, how.how.arithmetic) else layer_products
        total: Tensor = run.output(layer, codes, weight_codes)
        ctx.layer, ctx.grid, ctx.weights, ctx.shape = layer, grid, weights, x.shape
        kept = grid.stored(codes) if learns and ctx.needs_input_grad[1] else None
        ctx.save_for_backward(kept, weight)
        return total.mul_(grid.scale).mul_(_along_outputs(weights.scale, layer, total.ndim))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Rounds the gradient and passes it on."""
        layer, how = ctx.layer, cast(Rounding, ctx.layer.rounding)
        packed, weight = ctx.saved_tensors
        # A scale by channel is part of the sum over channels: it goes into the gradient before rounding.
        scale = ctx.weights.scale
        share = scale / scale.mean() if isinstance(scale, Tensor) else 1.0
        mean = scale.mean() if isinstance(scale, Tensor) else scale
        gradient = gradient * _along_outputs(share, layer, gradient.ndim)
        grid = how.grid(layer, GRADIENT, gradient, how.bits.gradients, True)
        codes = grid.codes(gradient, how.noise(layer, gradient))
        run = integer if integer.serves(layer, how.how.arithmetic) else layer_products
        to_input, to_weight = run.gradients(
            layer,
            codes,
            None if packed is None else ctx.grid.restored(packed),
            ctx.weights.codes(weight),
            ctx.shape if ctx.needs_input_grad[0] else torch.Size(),
        )
        if to_input is not None:
            to_input = to_input.mul_(grid.scale).mul_(mean)
        if to_weight is not None:
            to_weight = to_weight.mul_(grid.scale).mul_(ctx.grid.scale).div_(share)
            to_weight.mul_(integer_weights.damping(how.how, scale))
        return to_input, to_weight, None, None


def _along_outputs(scale: float | Tensor, layer: Layer, ndim: int) -> float | Tensor:
    """Shapes a scale by channel for the output of a layer."""
    if not isinstance(scale, Tensor):
        return scale
    flat = scale.flatten()
    return flat if isinstance(layer, nn.Linear) else flat.view(1, -1, *[1] * (ndim - 2))


class _Observed(torch.autograd.Function):
    """Passes everything on and takes the range of the gradient."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, layer: Layer) -> Tensor:
        """Passes the output on."""
        ctx.layer = layer
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Takes the range."""
        ctx.layer.rounding.observe(ctx.layer, GRADIENT, gradient)
        return gradient, None


class Quantized(nn.Module):
    """What is common to quantized layers.

    Attributes:
        rounding: how numbers are rounded.
    """

    rounding: Rounding

    def forward(self, x: Tensor) -> Tensor:
        """Computes the layer with rounded numbers, in float32: bfloat16 does not hold their sums."""
        with torch.autocast(x.device.type, enabled=False):
            return self._computed(x.float())

    def _computed(self, x: Tensor) -> Tensor:
        layer = cast(Layer, self)
        if self.rounding.resting:
            y = layer_products.output(layer, x, layer.weight)
        elif self.rounding.observing:
            self.rounding.observe(self, ACTIVATION, x)
            y = layer_products.output(layer, x, layer.weight)
            y = cast(Tensor, _Observed.apply(y, layer))  # type: ignore[no-untyped-call]
        else:
            learns = torch.is_grad_enabled()
            y = cast(Tensor, _Rounded.apply(x, layer.weight, layer, learns))  # type: ignore[no-untyped-call]
        if layer.bias is None:
            return y
        bias = integer_weights.damped_bias(layer)
        return y + cast(Tensor, _along_outputs(bias, layer, y.ndim))


class QuantizedConv1d(Quantized, nn.Conv1d):
    """A convolution over time, quantized."""


class QuantizedConv2d(Quantized, nn.Conv2d):
    """A convolution over time and frequency, quantized."""


class QuantizedLinear(Quantized, nn.Linear):
    """A linear layer, quantized."""


KINDS: dict[type[nn.Module], type[Quantized]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}
