"""All attackers send one and the same change, a little away from what the honest ones send."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.layout import stacked


@dataclass(frozen=True)
class Options:
    """Of collusion.

    Attributes:
        away: how many standard deviations from their own mean change, in every coordinate.
    """

    away: float = 1.5


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Sends the mean less some spread, which looks honest (Baruch et al. 2019, arXiv 1902.06156)."""
    rows, layout = stacked(deltas)
    spread = rows.std(0) if len(rows) > 1 else rows.abs()[0]
    agreed = layout.tensors(rows.mean(0) - options.away * spread)
    return [dataclasses.replace(delta, changes=agreed) for delta in deltas]
