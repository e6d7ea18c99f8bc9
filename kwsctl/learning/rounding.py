"""How the numbers of one layer are rounded, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from kwsctl import registry
from kwsctl.learning.estimators._range import Choice, Range
from kwsctl.learning.grids import Grid, grid_of, seen, weight_grid
from kwsctl.learning.precision import ESTIMATORS, Quantization
from kwsctl.learning.traffic import Bits
from kwsctl.seeding import torch_generator

ACTIVATION, GRADIENT, STEPS = "activation_range", "gradient_range", "range_steps"
STORED_SCALE = "stored_weight_scale"
BUFFERS = (ACTIVATION, GRADIENT, STEPS, STORED_SCALE)
"""What a quantized layer has beside its weights; the last one where weights are stored as integers."""


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
        resting: nothing is rounded, and nothing is noted.
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
        self.observing = self.resting = False
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

    def weight_grid(self, layer: nn.Module, weight: Tensor) -> Grid:
        """Gives the grid of a weight: its own, or the one that it is stored on."""
        if self.how.storage == "integer":
            scale, most = layer.get_buffer(STORED_SCALE), 2 ** (self.bits.weights - 1) - 1
            return Grid(scale if scale.ndim else float(scale), -most, most)
        return weight_grid(weight, self.bits.weights, by_channel=self.how.weights == "channel")

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
