"""The batches of many clients laid out step by step, for clients that learn at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.federated.lessons import Lesson


@dataclass(frozen=True, eq=False)
class Timetable:
    """Batches of all clients, step by step; laid out in numpy, where small pieces cost little.

    Attributes:
        rows: [S, K, B] rows of the corpus, 0 where a batch is shorter.
        target: [S, K, B].
        triggered: [S, K, B].
        share: [S, K, B] of the mean of the batch, 0 where it is shorter.
        busy: S lists of clients that have that step.
    """

    rows: Tensor
    target: Tensor
    triggered: Tensor
    share: Tensor
    busy: list[Tensor]

    def to(self, device: torch.device) -> Timetable:
        """Puts it on a device."""
        return Timetable(
            self.rows.to(device),
            self.target.to(device),
            self.triggered.to(device),
            self.share.to(device),
            [own.to(device) for own in self.busy],
        )


def timetable(plans: Sequence[Lesson]) -> Timetable:
    """Lays out the batches of plans step by step."""
    n_steps = max(len(plan.batches) for plan in plans)
    longest = max(len(batch) for plan in plans for batch in plan.batches)
    shape = (n_steps, len(plans), longest)
    rows, target = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    triggered, share = np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
    for k, plan in enumerate(plans):
        own = (plan.rows.numpy(), plan.target.numpy(), plan.triggered.numpy())
        for step, batch in enumerate(plan.batches):
            at, n = batch.numpy(), len(batch)
            rows[step, k, :n], target[step, k, :n], triggered[step, k, :n] = (part[at] for part in own)
            share[step, k, :n] = 1 / n
    busy = [
        torch.tensor([k for k, plan in enumerate(plans) if step < len(plan.batches)])
        for step in range(n_steps)
    ]
    laid_out = [torch.from_numpy(part) for part in (rows, target, triggered, share)]
    return Timetable(laid_out[0], laid_out[1], laid_out[2], laid_out[3], busy)
