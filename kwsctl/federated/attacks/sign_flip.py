"""The change is turned round and stretched."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta


@dataclass(frozen=True)
class Options:
    """Of sign flip.

    Attributes:
        factor: how far it is stretched.
    """

    factor: float = 4.0


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Sends the change with the opposite sign (Li et al. 2019, arXiv 1811.03761, section 5)."""
    return [
        dataclasses.replace(d, changes={name: -options.factor * c for name, c in d.changes.items()})
        for d in deltas
    ]
