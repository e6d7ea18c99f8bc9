"""Multi-Krum: the mean of the changes that lie near their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.aggregators._combining import State, combined
from kwsctl.federated.aggregators._krum import KrumOptions, krum_scores
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, False, True, False


@dataclass(frozen=True)
class Options(KrumOptions):
    """See `KrumOptions`."""


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Averages the K - f lowest scores (Blanchard et al. 2017, arXiv 1703.02757, section 4)."""
    rows, layout = stacked(deltas)
    scores, n_liars = krum_scores(rows, options.attackers)
    best = scores.argsort()[: max(1, len(rows) - n_liars)]
    kept = torch.zeros(len(rows))
    kept[best] = 1.0
    mean = rows[best].double().mean(0).float()
    return combined(options.rate * mean, deltas, layout, "multi_krum", kept), state
