"""Random directions, scaled up until they drown all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.layout import layout_of


@dataclass(frozen=True)
class Options:
    """Of the scaled update.

    Attributes:
        factor: length, in lengths of the honest change of this client.
    """

    factor: float = 20.0


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Sends the honest change scaled up, with the numbers in another order, so that it leads nowhere."""
    sent = []
    for delta in deltas:
        layout = layout_of(delta.changes)
        mixed = layout.vector(delta.changes)[torch.randperm(layout.size, generator=draw)]
        sent.append(dataclasses.replace(delta, changes=layout.tensors(options.factor * mixed)))
    return sent
