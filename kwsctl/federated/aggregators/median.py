"""The median of each coordinate: half of the clients would have to lie to move it at will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, combined
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, False, True, False


@dataclass(frozen=True)
class Options:
    """Of the median.

    Attributes:
        rate: how much of the median is taken.
    """

    rate: float = 1.0


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Takes the coordinate-wise median (Yin et al. 2018, arXiv 1803.01498, alg. 1, option I).

    A client's influence is how often it is among the middle half, so 0.5 on average.
    """
    rows, layout = stacked(deltas)
    middle = rows.quantile(0.5, dim=0)
    distance = (rows - middle).abs()
    near = (distance <= distance.quantile(0.5, dim=0)).float().mean(1)
    return combined(options.rate * middle, deltas, layout, "median", near), state
