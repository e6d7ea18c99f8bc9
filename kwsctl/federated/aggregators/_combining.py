"""What aggregators share: the clients' weights, and the Delta that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.federated.layout import Layout

State = Mapping[str, Tensor]


def client_weights(deltas: Sequence[Delta]) -> Tensor:
    """Gives [K] weights that sum to one, in proportion to the clips; equal if nobody tells."""
    clips = torch.tensor([float(delta.n_clips) for delta in deltas], dtype=torch.float64)
    if not bool(clips.sum() > 0):
        clips = torch.ones_like(clips)
    return clips / clips.sum()


def weighted_mean(rows: Tensor, weights: Tensor) -> Tensor:
    """Averages [K, P] with weights [K], in double precision so that the order of clients is of no matter."""
    return (weights.double() @ rows.double()).float()


def combined(
    vector: Tensor,
    deltas: Sequence[Delta],
    layout: Layout,
    method: str,
    influence: Tensor | None = None,
    **facts: Any,
) -> Delta:
    """Makes the Delta of a round.

    Args:
        vector: [P] what to change.
        deltas: K changes that it was made of.
        layout: of the vector.
        method: the aggregator.
        influence: [K] how much of each client was kept, 1 for all of it; for aggregators that leave some out.
        **facts: what else to note.

    Returns:
        The change; `made_by` names the influence of each client where it is not 1 for all.
    """
    made_by: dict[str, Any] = {"method": method, "clients": len(deltas), **facts}
    if influence is not None:
        names = [str(delta.made_by.get("client", number)) for number, delta in enumerate(deltas)]
        made_by["influence"] = {name: float(kept) for name, kept in zip(names, influence, strict=True)}
    return Delta(
        base_sha256=deltas[0].base_sha256,
        changes=layout.tensors(vector),
        n_clips=sum(delta.n_clips for delta in deltas),
        made_by=made_by,
    )
