"""Krum: the one change that lies nearest to its neighbours."""

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
    """Takes the change with the lowest score (Blanchard et al. 2017, arXiv 1703.02757, section 4)."""
    rows, layout = stacked(deltas)
    scores, _ = krum_scores(rows, options.attackers)
    chosen = int(scores.argmin())
    kept = torch.zeros(len(rows))
    kept[chosen] = 1.0
    return combined(options.rate * rows[chosen], deltas, layout, "krum", kept), state
