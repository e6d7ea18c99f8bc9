"""Weights that are stored as whole numbers and as nothing else, on a device that has no room for more.

A weight W is s C, of whole numbers C and a scale s that is fixed when learning begins. The gradient by C
is s times that by W, so that a step on C against it changes W by s ** 2 times what the same step on W would:
with s of a hundredth nothing is learned, and each layer learns at a rate of its own. Quantization-aware
scaling divides the gradient by s ** 2, that of a bias by the square of s and of the scale of the input (Lin
et al. 2022, "On-Device Training Under 256KB Memory", arXiv 2206.15472, section 2.1): a step on C is then, in
units of W, the step of full precision.

Here a weight is kept as s C in units of W, so that names and units of a network stay. Its gradient by W is
the scaled one; without scaling it is multiplied by s ** 2. Most steps are shorter than from one whole number
to the next: after each step of the optimizer, weights are rounded back to their grid at random, right on
average.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kwsctl.learning.estimators._range import Range
from kwsctl.learning.grids import grid_of, weight_grid
from kwsctl.learning.layer_products import Layer
from kwsctl.learning.precision import Quantization
from kwsctl.learning.rounding import ACTIVATION, STORED_SCALE, Rounding
from kwsctl.learning.traffic import Bits
from kwsctl.seeding import torch_generator


def store(layer: Layer, bits: Bits, how: Quantization) -> None:
    """Lays a grid over the weight of a layer, and rounds the weight to it, in place.

    Args:
        layer: a quantized one; it gets a buffer of the scale.
        bits: of weights.
        how: whether there is a scale for each output.
    """
    grid = weight_grid(layer.weight.detach(), bits.weights, by_channel=how.weights == "channel")
    scale = torch.as_tensor(grid.scale, device=layer.weight.device)
    layer.register_buffer(STORED_SCALE, scale)
    with torch.no_grad():
        layer.weight.copy_(grid.codes(layer.weight) * scale)


def damping(how: Quantization, scale: float | Tensor) -> float | Tensor:
    """Gives what the gradient of a weight is multiplied by: the square of its scale, or nothing.

    Args:
        how: of the layer.
        scale: s, of the weight.

    Returns:
        1 where weights are stored in full precision, or gradients are scaled.
    """
    return 1.0 if how.storage == "float" or how.gradient_scaling else scale**2


def damped_bias(layer: Layer) -> Tensor:
    """Gives the bias of a quantized layer, [C], with the gradient that it gets where it is stored.

    A bias is stored in 32 bits, on a grid whose scale is that of the sums: of the weight times the input.

    Args:
        layer: with a bias.

    Returns:
        The same numbers.
    """
    bias, rounding = cast(Tensor, layer.bias), cast(Rounding, layer.rounding)
    how = rounding.how
    if how.storage == "float" or how.gradient_scaling:
        return bias
    found = Range(*layer.get_buffer(ACTIVATION).tolist())
    inputs = grid_of(found, rounding.bits.activations, symmetric=how.symmetric).scale
    sums = (layer.get_buffer(STORED_SCALE) * inputs).flatten()
    return bias.detach() + sums**2 * (bias - bias.detach())


def keep_on_grid(optimizer: Optimizer, network: nn.Module) -> None:
    """Rounds the weights that are stored as integers after every step of an optimizer.

    Args:
        optimizer: of the network; it gets a hook.
        network: a quantized one; nothing happens unless its weights are stored as integers.
    """
    layers = [
        module
        for module in network.modules()
        if STORED_SCALE in module._buffers and cast(Layer, module).weight.requires_grad
    ]
    if not layers:
        return
    steps = 0

    def rounded(_optimizer: Optimizer, _given: Any, _named: Any) -> None:
        nonlocal steps
        steps += 1
        for module in layers:
            layer, rounding = cast(Layer, module), cast(Rounding, module.rounding)
            grid = rounding.weight_grid(layer, layer.weight)
            draw = torch_generator(rounding.seed, "stored weights", rounding.name, steps)
            noise = torch.rand(layer.weight.shape, generator=draw).to(layer.weight.device)
            with torch.no_grad():
                layer.weight.copy_(grid.codes(layer.weight, noise) * grid.scale)

    optimizer.register_step_post_hook(rounded)
