"""Keeps for the backward pass only what the weights that learn need: nothing for those that do not.

The gradient of a bias needs no activation, that of a weight needs the layer's input (Cai et al. 2020,
"TinyTL", arXiv 2007.11622, equation 2). PyTorch keeps inputs of frozen convolutions and frozen
normalizations all the same, and all that ReLU gives. Within `lean_activations` a frozen layer keeps
nothing, and ReLU one bit for each number. Gradients are the same; how much is kept,
`kwsctl.learning.saved_activations` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn
from torch.overrides import TorchFunctionMode

BITS = (1, 2, 4, 8, 16, 32, 64, 128)


class _OneBitRelu(torch.autograd.Function):
    """ReLU that keeps a bit for each number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Computes ReLU."""
        positive = (x > 0).flatten()
        ctx.shape = x.shape
        padded = fn.pad(positive.to(torch.uint8), (0, -len(positive) % len(BITS))).view(-1, len(BITS))
        ctx.save_for_backward((padded * padded.new_tensor(BITS)).sum(1, dtype=torch.uint8))
        return fn.relu(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Passes the gradient where the input was positive."""
        (packed,) = ctx.saved_tensors
        bits = (packed[:, None] & packed.new_tensor(BITS)).ne(0).flatten()
        passed: Tensor = gradient * bits[: ctx.shape.numel()].view(ctx.shape)
        return passed


class _FrozenProduct(torch.autograd.Function):
    """A convolution or linear layer whose weight is frozen: of the input only the shape is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, run: Callable[[Tensor], Tensor], geometry: Any
    ) -> Tensor:
        """Computes the layer without bias."""
        ctx.shape, ctx.geometry = x.shape, geometry
        ctx.save_for_backward(weight)
        return run(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gives the gradient of the input."""
        (weight,) = ctx.saved_tensors
        if ctx.geometry is None:
            return gradient @ weight, None, None, None
        stride, padding, dilation, groups = ctx.geometry
        nothing = gradient.new_zeros(()).expand(ctx.shape)
        found = torch.ops.aten.convolution_backward(
            gradient, nothing, weight, None, stride, padding, dilation, False, [0] * len(stride), groups,
            (True, False, False),
        )  # fmt: skip
        return found[0], None, None, None


class _Lean(TorchFunctionMode):
    """Stands in for functions of torch while it is entered."""

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs the lean form of a function, if there is one that applies."""
        kwargs = dict(kwargs or {})
        stand_in = STAND_INS.get(func)
        given = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        if stand_in is None or not torch.is_grad_enabled() or not any(v.requires_grad for v in given):
            return func(*args, **kwargs)
        found = stand_in(func, *args, **kwargs)
        return func(*args, **kwargs) if found is None else found


def lean_activations() -> TorchFunctionMode:
    """Makes a context in which networks keep no more than the weights that learn need.

    Returns:
        To be entered by `with`, around the forward pass.
    """
    return _Lean()


def _relu(func: Any, x: Tensor, inplace: bool = False) -> Tensor:
    return _OneBitRelu.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def _convolution(
    func: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    if weight.requires_grad or isinstance(padding, str):
        return None
    dims = weight.ndim - 2
    geometry = (
        *((v,) * dims if isinstance(v, int) else tuple(v) for v in (stride, padding, dilation)),
        groups,
    )
    y: Tensor = _FrozenProduct.apply(  # type: ignore[no-untyped-call]
        x, weight, lambda given: func(given, weight, None, *geometry), geometry
    )
    return y if bias is None else y + bias.view(-1, *[1] * dims)


def _linear(func: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if weight.requires_grad:
        return None
    y: Tensor = _FrozenProduct.apply(x, weight, lambda given: func(given, weight), None)  # type: ignore[no-untyped-call]
    return y if bias is None else y + bias


def _batch_norm(
    func: Any,
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if training or mean is None or variance is None or (weight is not None and weight.requires_grad):
        return None
    shape = (-1, *[1] * (x.ndim - 2))
    scale = (variance + eps).rsqrt() * (1.0 if weight is None else weight)
    shift = (0.0 if bias is None else bias) - mean * scale
    return x * scale.view(shape) + shift.view(shape)


STAND_INS: dict[Any, Callable[..., Tensor | None]] = {
    fn.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.conv1d: _convolution,
    torch.conv2d: _convolution,
    fn.linear: _linear,
    fn.batch_norm: _batch_norm,
}
