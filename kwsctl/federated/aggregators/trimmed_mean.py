"""The mean of each coordinate without the largest and the smallest values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated.aggregators._combining import State, combined
from kwsctl.federated.layout import stacked

STATEFUL, WEIGHTED, ROBUST, LINEAR = False, False, True, False


@dataclass(frozen=True)
class Options:
    """Of the trimmed mean.

    Attributes:
        trim: share of the clients that is cut off at either end; at least the share of attackers.
        rate: how much of the mean is taken.
    """

    trim: float = 0.25
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.trim < 0.5:
            raise InputError(f"trim = {self.trim:g} leaves nobody.", "Use at least 0 and less than 0.5.")


def aggregate(deltas: Sequence[Delta], state: State, options: Options) -> tuple[Delta, State]:
    """Takes the coordinate-wise trimmed mean (Yin et al. 2018, arXiv 1803.01498, alg. 1, option II).

    A client's influence is the share of coordinates in which it was kept.
    """
    rows, layout = stacked(deltas)
    n_cut = min(-int(-options.trim * len(rows) // 1), (len(rows) - 1) // 2)
    order = rows.sort(0)
    kept = order.values[n_cut : len(rows) - n_cut]
    place = torch.empty_like(order.indices).scatter_(
        0, order.indices, torch.arange(len(rows))[:, None].expand_as(order.indices)
    )
    share = ((place >= n_cut) & (place < len(rows) - n_cut)).float().mean(1)
    mean = kept.double().mean(0).float()
    return combined(options.rate * mean, deltas, layout, "trimmed_mean", share), state
