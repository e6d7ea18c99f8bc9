"""Noise instead of a change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.layout import layout_of


@dataclass(frozen=True)
class Options:
    """Of the noise.

    Attributes:
        factor: length, in lengths of the honest change of this client.
    """

    factor: float = 10.0


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Sends Gaussian noise (Blanchard et al. 2017, arXiv 1703.02757, section 5)."""
    sent = []
    for delta in deltas:
        layout = layout_of(delta.changes)
        noise = torch.randn(layout.size, generator=draw)
        noise *= options.factor * layout.vector(delta.changes).norm() / noise.norm().clamp_min(1e-12)
        sent.append(dataclasses.replace(delta, changes=layout.tensors(noise)))
    return sent
