"""Server optimizers: the mean change is taken for a gradient (Reddi et al. 2021, arXiv 2003.00295)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked


@dataclass(frozen=True)
class AdaptiveOptions:
    """Of an adaptive server optimizer.

    Attributes:
        rate: how far each weight moves in a round, at most about.
        beta1: of the mean of changes.
        beta2: of the mean of their squares.
        tau: what is added to its root; small changes below it are not blown up.
    """

    rate: float = 0.03
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3


def adaptive_step(
    deltas: Sequence[Delta],
    state: State,
    options: AdaptiveOptions,
    method: str,
    second: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Delta, State]:
    """Moves by the smoothed mean change over the root of its smoothed square.

    Args:
        deltas: at least one; all on the same base bundle.
        state: `mean` and `square` [P], and `rounds`; empty in the first round.
        options: of the optimizer.
        method: its name.
        second: gives the new square from the old one and the square of this round's change.

    Returns:
        The change, and the state for the next round.
    """
    rows, layout = stacked(deltas)
    change = weighted_mean(rows, client_weights(deltas))
    mean = state.get("mean", torch.zeros_like(change))
    square = state.get("square", torch.zeros_like(change))
    rounds = state.get("rounds", torch.zeros(())) + 1
    mean = options.beta1 * mean + (1 - options.beta1) * change
    square = second(square, change.square())
    # The bias of the first rounds is taken out of both (Kingma & Ba 2015, section 3).
    unbiased = mean / (1 - options.beta1**rounds)
    step = options.rate * unbiased / (_unbiased(square, options.beta2, rounds, method).sqrt() + options.tau)
    return combined(step, deltas, layout, method), {"mean": mean, "square": square, "rounds": rounds}


def _unbiased(square: Tensor, beta2: float, rounds: Tensor, method: str) -> Tensor:
    return square if method == "fedadagrad" else square / (1 - beta2**rounds)
