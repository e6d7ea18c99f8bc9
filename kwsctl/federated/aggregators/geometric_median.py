"""The geometric median: the point with the least sum of distances to all changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, True, True, False


@dataclass(frozen=True)
class Options:
    """Of the geometric median.

    Attributes:
        rate: how much of it is taken.
        steps: of Weiszfeld's iteration.
    """

    rate: float = 1.0
    steps: int = 32


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Takes the smoothed geometric median (Pillutla et al. 2022, arXiv 1912.13445, alg. 2).

    A client's influence is its weight in the last step over the weight that it had by its clips.
    """
    rows, layout = stacked(deltas)
    weights = share = client_weights(deltas)
    point = rows.quantile(0.5, dim=0)
    floor = float((rows - point).double().norm(dim=1).median()) * 1e-6 + 1e-12
    for _ in range(options.steps):
        distance = (rows - point).double().norm(dim=1).clamp_min(floor)
        share = weights / distance
        share = share / share.sum()
        point = weighted_mean(rows, share)
    influence = (share / weights.clamp_min(1e-12)).clamp_max(1.0).float()
    return combined(options.rate * point, deltas, layout, "geometric_median", influence), state
