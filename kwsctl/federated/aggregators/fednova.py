"""FedNova: clients that did more steps do not count for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, client_weights, combined, weighted_mean
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, True, False, False


@dataclass(frozen=True)
class Options:
    """Of FedNova.

    Attributes:
        rate: how much of the normalized mean is taken.
    """

    rate: float = 1.0


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Averages changes per step, times the mean steps (Wang et al. 2020, arXiv 2007.07481, eq. 6)."""
    rows, layout = stacked(deltas)
    weights = client_weights(deltas)
    steps = torch.tensor([float(delta.made_by.get("steps", 1)) for delta in deltas]).clamp_min(1)
    mean_steps = float(weights @ steps.double())
    change = mean_steps * weighted_mean(rows / steps[:, None], weights)
    return combined(options.rate * change, deltas, layout, "fednova"), state
