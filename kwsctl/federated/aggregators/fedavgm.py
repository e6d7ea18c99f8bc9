"""The weighted mean with momentum on the server (FedAvgM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = True, True, False, True


@dataclass(frozen=True)
class Options:
    """Of server momentum.

    Attributes:
        rate: how much of the velocity is taken.
        momentum: how much of the velocity stays from round to round.
    """

    rate: float = 1.0
    momentum: float = 0.9


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Moves by a velocity that the mean change feeds (Hsu et al. 2019, arXiv 1909.06335, section 4.3)."""
    rows, layout = stacked(deltas)
    change = weighted_mean(rows, client_weights(deltas))
    velocity = options.momentum * state.get("velocity", torch.zeros_like(change)) + change
    return combined(options.rate * velocity, deltas, layout, "fedavgm"), {"velocity": velocity}
