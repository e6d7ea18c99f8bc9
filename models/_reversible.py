"""Chains of layers that can be undone, so that training keeps their output and nothing in between.

A coupling changes one half of the channels by what the other half says, then the other way round (Gomez et
al. 2017, "The Reversible Residual Network", arXiv 1707.04585, equations 6 to 8):

    a' = a + F(b)    b' = b + G(a')        b = b' - G(a')    a = a' - F(b)

The backward pass walks from the output to the input and rebuilds what every coupling was given. As it runs
F and G with gradients for that, each is run once more than without, no more. Squeezing turns pairs of
neighbours into channels (Jacobsen et al. 2018, arXiv 1802.07088, section 3), which loses nothing, so that a
whole network of several resolutions is one chain. Normalization over a batch would count its statistics
twice: use that over groups.

While it learns, a chain adds up in double precision what its functions give in single precision. The sums
come back to the last bit that a function sees, so that F and G are run on the very numbers of the forward
pass. In single precision they would come back with another last bit, and a ReLU whose input is that near zero
passes a gradient or not: 2e-3 of the largest gradient, in some weights. It is also how far ordinary autograd
in single precision is from the true gradient of such a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Keeping = Literal["output", "everything", "inputs"]
"""What training keeps: the output of the chain alone; all that ordinary autograd does; or, by gradient
checkpointing (Chen et al. 2016, arXiv 1604.06174), the input of every function of the chain."""


class Halves(NamedTuple):
    """Two halves of the channels, [B, C, ...] each."""

    a: Tensor
    b: Tensor


class Undone(NamedTuple):
    """What a layer was given, with gradients.

    Attributes:
        given: its input.
        gradient: of its input.
        weights: gradients of its weights, in the order of `learned`.
    """

    given: Halves
    gradient: Halves
    weights: Sequence[Tensor]


def learned(module: nn.Module) -> list[nn.Parameter]:
    """Lists the weights that a gradient is wanted for."""
    return [p for p in module.parameters() if p.requires_grad]


Run = Callable[[nn.Module, Tensor], Tensor]
"""Runs a function on its input."""


def _as_weights(function: nn.Module, x: Tensor) -> Tensor:
    """Gives a tensor the precision of a function's weights."""
    return x.to(next(function.parameters()).dtype)


def _checkpointed(function: nn.Module, x: Tensor) -> Tensor:
    """Runs a function of which only the input is kept."""
    return cast(Tensor, checkpoint(function, x, use_reentrant=False, preserve_rng_state=False))


class Coupling(nn.Module):
    """Adds to each half what a function makes of the other.

    Args:
        first: F, keeps the shape.
        second: G, keeps the shape.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, a: Tensor, b: Tensor, run: Run = lambda function, x: function(x)) -> Halves:
        """Couples the halves, which may be more precise than the functions."""
        a = a + run(self.first, _as_weights(self.first, b))
        return Halves(a, b + run(self.second, _as_weights(self.second, a)))

    def inverse(self, a: Tensor, b: Tensor) -> Halves:
        """Gives what `forward` was given."""
        b = b - self.second(_as_weights(self.second, a))
        return Halves(a - self.first(_as_weights(self.first, b)), b)

    def undo(self, found: Halves, gradient: Halves) -> Undone:
        """Goes from the output to the input, with gradients."""
        b, to_a, second = _subtracted(self.second, found.b, found.a, gradient.b)
        gradient_a = gradient.a + to_a
        a, to_b, first = _subtracted(self.first, found.a, b, gradient_a)
        return Undone(Halves(a, b), Halves(gradient_a, gradient.b + to_b), [*first, *second])


def _subtracted(
    function: nn.Module, total: Tensor, given: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
    """Takes function(given) off a sum, and passes the gradient of the sum through the function."""
    given = _as_weights(function, given.detach()).requires_grad_()
    weights = learned(function)
    with torch.enable_grad():
        added = function(given)
    to_given, *to_weights = torch.autograd.grad(added, [given, *weights], gradient.to(added.dtype))
    return total - added.detach(), to_given, to_weights


class Squeeze(nn.Module):
    """Turns pairs of neighbours along one dimension into twice as many channels.

    Args:
        dim: 2 for the first dimension after the channels, -1 for the last.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, a: Tensor, b: Tensor) -> Halves:
        """Maps each [B, C, ..., T, ...] to [B, 2 C, ..., T / 2, ...]."""
        return Halves(self.squeezed(a), self.squeezed(b))

    def squeezed(self, x: Tensor) -> Tensor:
        """Squeezes one tensor."""
        pairs = x.unflatten(self.dim, (-1, 2))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return torch.cat(pairs.unbind(self.dim if self.dim < 0 else self.dim + 1), 1)

    def inverse(self, a: Tensor, b: Tensor) -> Halves:
        """Gives what `forward` was given."""
        return Halves(self._stretched(a), self._stretched(b))

    def _stretched(self, x: Tensor) -> Tensor:
        even, odd = x.chunk(2, 1)
        after = self.dim if self.dim < 0 else self.dim + 1
        return torch.stack([even, odd], after).flatten(*((-2, -1) if self.dim < 0 else (self.dim, after)))

    def undo(self, found: Halves, gradient: Halves) -> Undone:
        """Goes from the output to the input, with gradients: both are only put back."""
        return Undone(self.inverse(*found), self.inverse(*gradient), [])


class Chain(nn.Module):
    """Couplings and squeezes one after the other.

    Attributes:
        keeping: what training keeps.

    Args:
        layers: in order.
        keeping: what training keeps.
    """

    def __init__(self, layers: Sequence[Coupling | Squeeze], keeping: Keeping = "output") -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.keeping = keeping

    def forward(self, a: Tensor, b: Tensor) -> Halves:
        """Runs the layers on the two halves."""
        if not torch.is_grad_enabled():
            return self._run(Halves(a, b))
        if self.keeping == "output":
            return Halves(*_Rebuilt.apply(self, a, b, *self._weights()))  # type: ignore[no-untyped-call]
        found = self._run(Halves(a.double(), b.double()), checkpointed=self.keeping == "inputs")
        return Halves(found.a.to(a.dtype), found.b.to(b.dtype))

    def _run(self, found: Halves, *, checkpointed: bool = False) -> Halves:
        for layer in self.layers:
            if checkpointed and isinstance(layer, Coupling):
                found = layer(*found, _checkpointed)
            else:
                found = layer(*found)
        return found

    def inverse(self, a: Tensor, b: Tensor) -> Halves:
        """Gives what `forward` was given, up to rounding."""
        for layer in reversed(self.layers):
            a, b = cast(Coupling, layer).inverse(a, b)
        return Halves(a, b)

    def _weights(self) -> list[nn.Parameter]:
        return [p for layer in self.layers for p in learned(layer)]


class _Rebuilt(torch.autograd.Function):
    """A chain whose backward pass rebuilds the activations from its output."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, a: Tensor, b: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the layers; torch has switched gradients off."""
        found = chain._run(Halves(a.double(), b.double()))
        ctx.chain, ctx.dtype = chain, a.dtype
        ctx.save_for_backward(*found)
        return found.a.to(a.dtype), found.b.to(b.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Undoes the layers from the last to the first."""
        found = Halves(*ctx.saved_tensors)
        gradient = Halves(*(g.double() for g in gradients))
        to_weights: list[Tensor] = []
        for layer in reversed(ctx.chain.layers):
            found, gradient, own = cast(Coupling, layer).undo(found, gradient)
            to_weights = [*own, *to_weights]
        return None, gradient.a.to(ctx.dtype), gradient.b.to(ctx.dtype), *to_weights
