"""Quantized training: weights, activations and gradients of activations on grids of a few bits.

A network is quantized in place: its convolutions and linear layers become those of `quantized_layers`, and
its weights keep their names; the ranges are buffers beside them. The weights that the optimizer changes stay
in full precision unless they are stored as integers (`integer_weights`), as does what is between layers
(normalization, ReLU, sums). The range of a weight is its own; those of activations and gradients are chosen
by a file in `learning/estimators/` (Fournarakis & Nagel 2021, arXiv 2105.04246).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kwsctl.errors import InputError
from kwsctl.learning import integer_weights
from kwsctl.learning.layer_products import Layer
from kwsctl.learning.precision import Quantization
from kwsctl.learning.quantized_layers import KINDS, Quantized
from kwsctl.learning.rounding import ACTIVATION, BUFFERS, GRADIENT, STEPS, Rounding, Telemetry
from kwsctl.learning.traffic import Bits


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
            cast(Quantized, layer).rounding = Rounding(bits, how, name, seed)
            if how.storage == "integer":
                integer_weights.store(cast(Layer, layer), bits, how)


def restore(network: nn.Module) -> None:
    """Takes the quantization of `quantize` away; weights stay as they are."""
    for layer in layers_of(network).values():
        for name in BUFFERS:
            if hasattr(layer, name):
                delattr(layer, name)
        del layer.rounding
        cast(Any, layer).__class__ = next(plain for plain, kind in KINDS.items() if kind is type(layer))


def layers_of(network: nn.Module) -> dict[str, Quantized]:
    """Finds the quantized layers of a network, by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, Quantized)}


def begin_anew(network: nn.Module, seed: int) -> None:
    """Forgets ranges and steps, as on another device: the first batch has to calibrate again.

    Args:
        network: a quantized one.
        seed: of the stochastic rounding from here on.
    """
    for layer in layers_of(network).values():
        for name in (ACTIVATION, GRADIENT, STEPS):
            layer.get_buffer(name).zero_()
        layer.rounding.seed = seed


@contextmanager
def resting(network: nn.Module) -> Iterator[None]:
    """Lets a network compute in full precision in the block, as if it were not quantized."""
    layers = layers_of(network).values()
    for layer in layers:
        layer.rounding.resting = True
    try:
        yield
    finally:
        for layer in layers:
            layer.rounding.resting = False


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
