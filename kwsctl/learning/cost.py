"""The cost meter: what a training step of any network, method and precision takes, counted while it runs.

Nothing is estimated that can be counted: the meter runs one step and watches it. Multiply-accumulates are
those of convolutions and linear layers, as in `KeywordNet.macs`; bytes of activations are those that
autograd saved; bytes moved follow `kwsctl.learning.traffic` layer by layer.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from kwsctl.learning.saved_activations import saved_activations
from kwsctl.learning.traffic import Bits, Shape, Traffic, traffic

STATES = {"adamw": 2, "sgd": 1, "plain": 0}
"""Numbers that an optimizer keeps for each weight: AdamW two moments, SGD one, without momentum none."""
Layer = nn.Conv1d | nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class LayerCost:
    """One convolution or linear layer.

    Attributes:
        name: in the network.
        weights: numbers of its weight.
        inputs: numbers of its input, per batch.
        outputs: numbers of its output, per batch.
        macs_forward: multiply-accumulates, per batch.
        macs_backward: of both gradients and of what was computed anew, per batch.
        learns: whether its weight is learned.
        moved: bytes per step.
    """

    name: str
    weights: int
    inputs: int
    outputs: int
    macs_forward: int
    macs_backward: int
    learns: bool
    moved: Traffic


@dataclass(frozen=True)
class Cost:
    """What one training step takes.

    Attributes:
        batch_size: B.
        bits: of quantized numbers, for the bytes moved.
        params: numbers of the network.
        params_touched: those that the step changes.
        macs_forward: multiply-accumulates of the forward pass.
        macs_backward: of the backward pass, with what it computes anew.
        activation_bytes: kept for the backward pass after the forward pass.
        peak_activation_bytes: the most that was kept at any time, with what the backward pass computes anew.
        gradient_bytes: of the gradients of the weights.
        optimizer_bytes: of the optimizer's state.
        moved_static: bytes moved with static ranges.
        moved_dynamic: bytes moved with dynamic ranges.
        peak_process_bytes: the largest size that this process had so far, interpreter and libraries included.
        layers: one by one.
    """

    batch_size: int
    bits: Bits
    params: int
    params_touched: int
    macs_forward: int
    macs_backward: int
    activation_bytes: int
    peak_activation_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    moved_static: int
    moved_dynamic: int
    peak_process_bytes: int
    layers: tuple[LayerCost, ...]

    @property
    def training_bytes(self) -> int:
        """What learning needs beyond running: activations, gradients and the optimizer's state."""
        return self.peak_activation_bytes + self.gradient_bytes + self.optimizer_bytes


def measured(
    model: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    batch_size: int,
    *,
    optimizer: str = "adamw",
    bits: Bits | None = None,
) -> Cost:
    """Runs one training step and counts what it takes; gradients are cleared, weights stay.

    Args:
        model: those of its weights are learned that require a gradient.
        loss: runs the model on a batch and gives a scalar.
        batch_size: B, of that batch.
        optimizer: a key of `STATES`.
        bits: for the bytes moved; eight each by default.

    Returns:
        The cost of the step.
    """
    touched = [p for p in model.parameters() if p.requires_grad]
    watch = _Watch(model)
    try:
        with saved_activations(model) as saved:
            value = loss(model)
            kept = saved.bytes
            watch.forward = False
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    finally:
        watch.close()
    gradient_bytes = sum(p.numel() * p.element_size() for p in touched)
    model.zero_grad(set_to_none=True)
    bits = bits or Bits()
    layers = watch.layers(bits)
    return Cost(
        batch_size=batch_size,
        bits=bits,
        params=sum(p.numel() for p in model.parameters()),
        params_touched=sum(p.numel() for p in touched),
        macs_forward=sum(layer.macs_forward for layer in layers),
        macs_backward=sum(layer.macs_backward for layer in layers),
        activation_bytes=kept,
        peak_activation_bytes=saved.peak_bytes,
        gradient_bytes=gradient_bytes,
        optimizer_bytes=gradient_bytes * STATES[optimizer],
        moved_static=sum(layer.moved.static for layer in layers),
        moved_dynamic=sum(layer.moved.dynamic for layer in layers),
        peak_process_bytes=peak_process_bytes(),
        layers=layers,
    )


def peak_process_bytes() -> int:
    """Gives the largest resident size that this process ever had.

    Linux counts in `ru_maxrss` also what the process was before it began this program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found is not None:
            return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # Linux counts in KiB


class _Watch:
    """Counts the calls of layers by hooks.

    Args:
        model: whose layers are watched.
    """

    def __init__(self, model: nn.Module) -> None:
        self.forward = True
        self._seen: dict[str, list[int]] = {}
        self._followed: set[str] = set()  # layers of which autograd knows since the forward pass
        self._layers = {name: m for name, m in model.named_modules() if isinstance(m, Layer)}
        self._shapes: dict[str, Shape] = {}
        self._fast = [m for m in model.modules() if getattr(m, "fast", False) is True]
        for module in self._fast:  # loops that stand in for the modules would not be seen
            cast(Any, module).fast = False
        self._handles = [
            m.register_forward_hook(self._hook(name, m), always_call=False)
            for name, m in self._layers.items()
        ]

    def _hook(self, name: str, layer: Layer) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            macs = macs_of(layer, output)
            seen = self._seen.setdefault(name, [0, 0])
            seen[0 if self.forward else 1] += macs
            learns = layer.weight.requires_grad
            passes = inputs[0].requires_grad and torch.is_grad_enabled()
            # What checkpointing computes anew had its gradients counted on the way there.
            if torch.is_grad_enabled() and (self.forward or name not in self._followed):
                seen[1] += macs * (learns + passes)
                if self.forward:
                    self._followed.add(name)
            before = self._shapes.get(name)
            self._shapes[name] = Shape(
                layer.weight.numel(),
                inputs[0].numel(),
                output.numel(),
                passes or (before is not None and before.passes_gradient),
                learns,
            )

        return note

    def layers(self, bits: Bits) -> tuple[LayerCost, ...]:
        """Gives the layers that were called."""
        return tuple(
            LayerCost(
                name,
                shape.weights,
                shape.inputs,
                shape.outputs,
                self._seen[name][0],
                self._seen[name][1],
                shape.learns,
                traffic(shape, bits),
            )
            for name, shape in self._shapes.items()
        )

    def close(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()
        for module in self._fast:
            cast(Any, module).fast = True


def macs_of(layer: Layer, output: Tensor) -> int:
    """Counts the multiply-accumulates that gave an output.

    Args:
        layer: a convolution or a linear layer.
        output: [B, C, ...] of a convolution, [..., C] of a linear layer.

    Returns:
        Multiply-accumulates for the whole batch.
    """
    each = layer.weight[0].numel() if layer.weight.numel() else 0
    return output.numel() * each
