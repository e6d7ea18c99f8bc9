"""FedAdagrad: the sum of all squares so far slows each weight down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._adaptive import AdaptiveOptions, adaptive_step
from kwsctl.federated.aggregators._combining import State

STATEFUL, WEIGHTED, ROBUST, LINEAR = True, True, False, True


@dataclass(frozen=True)
class Options(AdaptiveOptions):
    """See `AdaptiveOptions`."""


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Moves the weights by a step of Adagrad (Reddi et al. 2021, arXiv 2003.00295, alg. 2)."""

    def second(square: Tensor, new: Tensor) -> Tensor:
        return square + new

    return adaptive_step(deltas, state, options, "fedadagrad", second)
