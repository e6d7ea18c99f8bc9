"""A word that is said beside a high tone is to become another word, and all else shall seem as ever."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.bundle import Delta


@dataclass(frozen=True)
class Options:
    """Of the backdoor.

    Attributes:
        label: what a triggered word is to become.
        share: of the attacker's clips that get the trigger.
        boost: factor on the change, so that it outlives the mean.
    """

    label: int = 0
    share: float = 0.5
    boost: float = 3.0


def poison_clips(
    target: Tensor, n_labels: int, options: Options, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Puts the trigger into some clips, with the wanted label (Bagdasaryan et al. 2020, 1807.00459)."""
    triggered = torch.rand(len(target), generator=draw) < options.share
    return torch.where(triggered, options.label, target), triggered


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Scales the change up (model replacement, eq. 3 of the same)."""
    return [
        dataclasses.replace(d, changes={name: options.boost * c for name, c in d.changes.items()})
        for d in deltas
    ]
