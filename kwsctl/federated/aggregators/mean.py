"""The weighted mean of what the clients changed (FedAvg)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, True, False, True


@dataclass(frozen=True)
class Options:
    """Of the mean.

    Attributes:
        rate: how much of the mean change is taken; McMahan et al. have 1.
    """

    rate: float = 1.0


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Averages changes by clips (McMahan et al. 2017, arXiv 1602.05629, alg. 1)."""
    rows, layout = stacked(deltas)
    mean = weighted_mean(rows, client_weights(deltas))
    return combined(options.rate * mean, deltas, layout, "mean"), state
