"""Quantized training: weights, activations and gradients of activations on grids of a few bits.

The input of every convolution and linear layer is rounded as it would be when the layer before writes it;
so is the weight, and in the backward pass the gradient of the output. From these whole numbers the layer's
output, the gradient of its input and the gradient of its weight are computed, and only then multiplied by
the scales. The weights that the optimizer changes stay in full precision, as does what is between layers
(normalization, ReLU, sums). The range of a weight is its own; those of activations and gradients are chosen
by a file in `learning/estimators/` (Fournarakis & Nagel 2021, arXiv 2105.04246). The gradient passes
clipped entries, too, so that no mask is kept; for the backward pass an activation is kept in a byte each.

A network is quantized in place, and its weights keep their names; the ranges are buffers beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.learning import integer, layer_products
from kwsctl.learning.estimators._range import Choice, Range
from kwsctl.learning.grids import Grid, grid_of, seen, weight_grid
from kwsctl.learning.layer_products import Layer
from kwsctl.learning.precision import ESTIMATORS, Quantization
from kwsctl.learning.traffic import Bits
from kwsctl.seeding import torch_generator

ACTIVATION, GRADIENT, STEPS = "activation_range", "gradient_range", "range_steps"
BUFFERS = (ACTIVATION, GRADIENT, STEPS)


@dataclass
class Telemetry:
    """What became of numbers since it was last asked.

    Attributes:
        numbers: how many were rounded.
        clipped: how many of them were outside their range.
        lag: sum over steps of how far the range was from the tensor's own, as a share of the latter's width.
        steps: how many.
    """

    numbers: int = 0
    clipped: int = 0
    lag: float = 0.0
    steps: int = 0


class Rounding:
    """How one layer's numbers are rounded.

    Attributes:
        bits: of weights, activations and gradients.
        how: estimator and rounding.
        choose: of the estimator.
        name: of the layer, for its random numbers.
        seed: of the rounding.
        observing: calibration: nothing is rounded, ranges are taken as they are seen.
        telemetry: of activations and of gradients.

    Args:
        bits: of weights, activations and gradients.
        how: estimator and rounding.
        name: of the layer.
        seed: of the rounding.
    """

    def __init__(self, bits: Bits, how: Quantization, name: str, seed: int) -> None:
        self.bits, self.how, self.name, self.seed = bits, how, name, seed
        self.choose = cast(
            Callable[[Range, Range, float], Choice], registry.load(ESTIMATORS, how.estimator).choose
        )
        self.observing = False
        self.telemetry = {ACTIVATION: Telemetry(), GRADIENT: Telemetry()}

    def grid(self, layer: nn.Module, kind: str, x: Tensor, bits: int, learns: bool) -> Grid:
        """Chooses the grid of a tensor, and remembers what the next step needs."""
        state = layer.get_buffer(kind)
        own = seen(x)
        if not state.any():  # never calibrated: the first tensor is all there is to go by
            state.copy_(torch.tensor(own))
        choice = self.choose(Range(*state.tolist()), own, self.how.momentum)
        if learns:
            state.copy_(torch.tensor(choice.kept))
            self._note(kind, x, choice.used, own)
        return grid_of(choice.used, bits, symmetric=self.how.symmetric)

    def observe(self, layer: nn.Module, kind: str, x: Tensor) -> None:
        """Widens the kept range by a tensor of the calibration pass."""
        state, own = layer.get_buffer(kind), seen(x)
        state.copy_(torch.stack([torch.minimum(state[0], torch.tensor(own.low)),
                                 torch.maximum(state[1], torch.tensor(own.high))]))  # fmt: skip

    def noise(self, layer: nn.Module, x: Tensor) -> Tensor | None:
        """Gives the random numbers of this step's rounding of the gradient; the same after a resumption."""
        if self.how.rounding == "nearest":
            return None
        steps = layer.get_buffer(STEPS)
        steps += 1
        draw = torch_generator(self.seed, "rounding", self.name, int(steps))
        return torch.rand(x.shape, generator=draw).to(x.device)

    def _note(self, kind: str, x: Tensor, used: Range, own: Range) -> None:
        told = self.telemetry[kind]
        told.numbers += x.numel()
        told.steps += 1
        if own.low < used.low or own.high > used.high:
            told.clipped += int(((x < used.low) | (x > used.high)).sum())
        width = max(own.high - own.low, 1e-12)
        told.lag += (abs(own.low - used.low) + abs(own.high - used.high)) / width


class _Rounded(torch.autograd.Function):
    """A layer's products on rounded numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: Layer, learns: bool) -> Tensor:
        """Rounds and multiplies."""
        how = cast(Rounding, layer.rounding)
        grid = how.grid(layer, ACTIVATION, x, how.bits.activations, learns)
        weights = weight_grid(weight, how.bits.weights, by_channel=how.how.weights == "channel")
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


class _Quantized(nn.Module):
    """What is common to quantized layers.

    Attributes:
        rounding: how numbers are rounded.
    """

    rounding: Rounding

    def forward(self, x: Tensor) -> Tensor:
        """Computes the layer with rounded numbers."""
        layer = cast(Layer, self)
        if self.rounding.observing:
            self.rounding.observe(self, ACTIVATION, x)
            y = layer_products.output(layer, x, layer.weight)
            y = cast(Tensor, _Observed.apply(y, layer))  # type: ignore[no-untyped-call]
        else:
            learns = torch.is_grad_enabled()
            y = cast(Tensor, _Rounded.apply(x, layer.weight, layer, learns))  # type: ignore[no-untyped-call]
        if layer.bias is None:
            return y
        return y + cast(Tensor, _along_outputs(layer.bias, layer, y.ndim))


class QuantizedConv1d(_Quantized, nn.Conv1d):
    """A convolution over time, quantized."""


class QuantizedConv2d(_Quantized, nn.Conv2d):
    """A convolution over time and frequency, quantized."""


class QuantizedLinear(_Quantized, nn.Linear):
    """A linear layer, quantized."""


KINDS: dict[type[nn.Module], type[_Quantized]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}


def quantize(network: nn.Module, bits: Bits, how: Quantization, seed: int = 0) -> None:
    """Makes all convolutions and linear layers of a network compute with rounded numbers, in place.

    Args:
        network: weights keep their names; each layer gets buffers of its ranges.
        bits: of weights, activations and gradients.
        how: estimator and rounding.
        seed: of the stochastic rounding.

    Raises:
        InputError: the network rebuilds activations, which would be rounded in another way, or has low-rank
            additions to its weights.
        ExtensionError: no such estimator.
    """
    for module in network.modules():
        if getattr(module, "keeping", "everything") != "everything":
            raise InputError(
                f"A network that keeps {module.keeping!r} computes activations twice, and rounds them twice.",
                "Use --set network.keeping=everything, or --precision fp32.",
            )
        if getattr(module, "fast", False) is True:
            cast(Any, module).fast = False  # loops that stand in for the modules know no grids
    if any(parametrize.is_parametrized(module) for module in network.modules()):
        raise InputError("Low-rank additions have no grid.", "Use another method, or --precision fp32.")
    for name, layer in list(network.named_modules()):
        if kind := KINDS.get(type(layer)):
            place = layer.weight.device
            layer.register_buffer(ACTIVATION, torch.zeros(2, device=place))
            layer.register_buffer(GRADIENT, torch.zeros(2, device=place))
            layer.register_buffer(STEPS, torch.zeros((), dtype=torch.int64, device=place))
            layer.__class__ = kind
            cast(_Quantized, layer).rounding = Rounding(bits, how, name, seed)


def restore(network: nn.Module) -> None:
    """Takes the quantization of `quantize` away; weights stay as they are."""
    for layer in layers_of(network).values():
        for name in BUFFERS:
            delattr(layer, name)
        del layer.rounding
        cast(Any, layer).__class__ = next(plain for plain, kind in KINDS.items() if kind is type(layer))


def layers_of(network: nn.Module) -> dict[str, _Quantized]:
    """Finds the quantized layers of a network, by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, _Quantized)}


@contextmanager
def calibrating(network: nn.Module) -> Iterator[None]:
    """Lets a network run and learn in full precision in the block, and takes the ranges that it sees.

    Buffers other than ranges, such as the statistics of normalization, are as before when the block ends.
    """
    layers = layers_of(network).values()
    before = {
        name: value.clone()
        for name, value in network.named_buffers()
        if name.rpartition(".")[2] not in BUFFERS
    }
    for layer in layers:
        layer.rounding.observing = True
    try:
        yield
    finally:
        for layer in layers:
            layer.rounding.observing = False
        with torch.no_grad():
            for name, value in before.items():
                network.get_buffer(name).copy_(value)
        network.zero_grad(set_to_none=True)


def told(network: nn.Module) -> dict[str, float]:
    """Sums up what became of numbers since it was last asked.

    Args:
        network: a quantized one.

    Returns:
        The share of activations and of gradients that were clipped, and the mean lag of their ranges.
    """
    found: dict[str, float] = {}
    layers = layers_of(network).values()
    for kind, name in ((ACTIVATION, "activations"), (GRADIENT, "gradients")):
        parts = [layer.rounding.telemetry[kind] for layer in layers]
        numbers, steps = sum(p.numbers for p in parts), sum(p.steps for p in parts)
        if steps:
            found[f"{name}_clipped"] = sum(p.clipped for p in parts) / numbers
            found[f"{name}_range_lag"] = sum(p.lag for p in parts) / steps
        for layer in layers:
            layer.rounding.telemetry[kind] = Telemetry()
    return found


def without_ranges(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives the state of the plain network."""
    return {name: value for name, value in state.items() if name.rpartition(".")[2] not in BUFFERS}


def ranges(state: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Gives the ranges of activations by layer, as JSON-able values for a bundle's lineage."""
    return {
        name.rpartition(".")[0]: value.tolist()
        for name, value in state.items()
        if name.rpartition(".")[2] == ACTIVATION
    }


def set_ranges(network: nn.Module, found: Mapping[str, list[float]]) -> None:
    """Puts the ranges of activations that `ranges` gave into a quantized network."""
    for name, layer in layers_of(network).items():
        layer.get_buffer(ACTIVATION).copy_(torch.tensor(found[name]))
