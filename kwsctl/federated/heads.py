"""Trains the heads of many clients at once, on cached embeddings.

A linear head needs no autograd: its gradient is a product of two matrices, and those of many clients are one
batched product. The steps are those of `kwsctl.federated.local`, to float tolerance. Convolutions gain less,
because weights that differ by client make them grouped (benchmarks/federated_device.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Task
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.federated.local import Learned, LocalWork

CLIENTS_AT_ONCE = 128


def learn_heads(
    task: Task,
    starts: Tensor,
    n_labels: int,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
    corrections: Tensor | None = None,
) -> list[Learned]:
    """Trains one head for each client.

    Args:
        task: says the loss.
        starts: [K, P] where each begins: the bias [L], then the weight [L, E], as the layout has them.
        n_labels: L.
        plans: K plans.
        inputs: gives the embeddings [B, E] of rows.
        work: how.
        corrections: [K, P] added to every gradient (SCAFFOLD).

    Returns:
        K heads.
    """
    found: list[Learned] = []
    for first in range(0, len(plans), CLIENTS_AT_ONCE):
        some = slice(first, first + CLIENTS_AT_ONCE)
        pull = None if corrections is None else corrections[some]
        found += _together(task, starts[some], n_labels, plans[some], inputs, work, pull)
    return found


def _together(
    task: Task,
    starts: Tensor,
    n_labels: int,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
    pull: Tensor | None,
) -> list[Learned]:
    now = starts.clone()
    loss_sum, clips = torch.zeros(len(plans)), torch.zeros(len(plans))
    table = timetable(plans)
    for step, own in enumerate(table.busy):
        rows, target, marked, share = (
            part[step, own] for part in (table.rows, table.target, table.triggered, table.share)
        )
        # Cached embeddings are not varied, so that whose generator is given makes no difference.
        x = inputs(rows.flatten(), marked.flatten(), plans[0].augmentation).view(*rows.shape, -1)
        everybody = len(own) == len(plans)
        point = now if everybody else now[own]
        bias, weight = point[:, :n_labels], point[:, n_labels:].view(len(own), n_labels, -1)
        logits = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
        loss, pushed = _loss_and_gradient(task, logits, target, work.smoothing)
        pushed = pushed * share[..., None]
        near = work.proximal * (point - starts[own]) if work.proximal else None
        # In place, on views of the weights: most of a step is moving numbers.
        weight.baddbmm_(pushed.transpose(1, 2), x, alpha=-work.rate)
        bias.sub_(pushed.sum(1), alpha=work.rate)
        if near is not None:
            point.sub_(near, alpha=work.rate)
        if pull is not None:
            point.sub_(pull[own], alpha=work.rate)
        if not everybody:
            now[own] = point
        held = (share > 0).sum(1)
        loss_sum[own] += (loss * share).sum(1) * held
        clips[own] += held
    means = (loss_sum / clips).tolist()
    return [Learned(now[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


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


def _loss_and_gradient(task: Task, logits: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Gives the loss [K, B] of each clip and its gradient by the logits [K, B, L]."""
    n_labels = logits.shape[2]
    wanted = (target[..., None] == torch.arange(n_labels)).float()
    if task == "keywords":
        wanted = wanted * (1 - smoothing) + smoothing / n_labels
        log_share = logits.log_softmax(2)
        return -(wanted * log_share).sum(2), log_share.exp() - wanted
    wanted = wanted * (1 - smoothing) + smoothing / 2
    loss = fn.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return loss.mean(2), (logits.sigmoid() - wanted) / n_labels
