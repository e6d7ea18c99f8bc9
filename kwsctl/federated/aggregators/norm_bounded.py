"""The weighted mean of changes that are scaled down to a common length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, True, True, False


@dataclass(frozen=True)
class Options:
    """Of the norm-bounded mean.

    Attributes:
        bound: the longest change that counts in full; 0 takes the median length of the round.
        rate: how much of the mean is taken.
    """

    bound: float = 0.0
    rate: float = 1.0


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Averages changes after bounding their norms (Sun et al. 2019, arXiv 1911.07963, section 5)."""
    rows, layout = stacked(deltas)
    norms = rows.norm(dim=1)
    bound = options.bound or float(norms.quantile(0.5))
    factor = (bound / norms.clamp_min(1e-12)).clamp_max(1.0)
    mean = weighted_mean(rows * factor[:, None], client_weights(deltas))
    return combined(options.rate * mean, deltas, layout, "norm_bounded", factor), state
