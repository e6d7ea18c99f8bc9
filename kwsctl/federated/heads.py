"""Trains the heads of many clients at once, on cached embeddings.

A linear head needs no autograd: its gradient is a product of two matrices, and those of many clients are one
batched product. The steps are those of `kwsctl.federated.local`, to float tolerance. Convolutions gain less,
because weights that differ by client make them grouped: see `kwsctl.federated.networks` for a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Task
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.federated.local import Learned, LocalWork
from kwsctl.federated.timetable import timetable

CLIENTS_AT_ONCE = 128
CPU = torch.device("cpu")


def learn_heads(
    task: Task,
    starts: Tensor,
    n_labels: int,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
    corrections: Tensor | None = None,
    device: torch.device = CPU,
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
        device: where the embeddings are.

    Returns:
        K heads.
    """
    found: list[Learned] = []
    for first in range(0, len(plans), CLIENTS_AT_ONCE):
        some = slice(first, first + CLIENTS_AT_ONCE)
        pull = None if corrections is None else corrections[some].to(device)
        found += _together(task, starts[some].to(device), n_labels, plans[some], inputs, work, pull)
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
    loss_sum, clips = now.new_zeros(len(plans)), now.new_zeros(len(plans))
    table = timetable(plans).to(now.device)
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
    means, now = (loss_sum / clips).tolist(), now.cpu()
    return [Learned(now[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


def _loss_and_gradient(task: Task, logits: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Gives the loss [K, B] of each clip and its gradient by the logits [K, B, L]."""
    n_labels = logits.shape[2]
    wanted = (target[..., None] == torch.arange(n_labels, device=target.device)).float()
    if task == "keywords":
        wanted = wanted * (1 - smoothing) + smoothing / n_labels
        log_share = logits.log_softmax(2)
        return -(wanted * log_share).sum(2), log_share.exp() - wanted
    wanted = wanted * (1 - smoothing) + smoothing / 2
    loss = fn.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return loss.mean(2), (logits.sigmoid() - wanted) / n_labels
