"""FedAdam: the server treats the mean change as a gradient and takes a step of Adam."""

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
    """Moves the weights by a step of Adam (Reddi et al. 2021, arXiv 2003.00295, alg. 2)."""

    def second(square: Tensor, new: Tensor) -> Tensor:
        return options.beta2 * square + (1 - options.beta2) * new

    return adaptive_step(deltas, state, options, "fedadam", second)
