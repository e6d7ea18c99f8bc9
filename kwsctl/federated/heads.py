"""Trains the heads of many clients at once, on cached embeddings.

A linear head needs no autograd: its gradient is a product of two matrices, and those of many clients are one
batched product. The steps are those of `kwsctl.federated.local`, to float tolerance; convolutions gain
nothing from this, because weights that differ by client make them grouped.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    now, n_steps = starts.clone(), max(len(plan.batches) for plan in plans)
    loss_sum, clips = torch.zeros(len(plans)), torch.zeros(len(plans))
    for step in range(n_steps):
        busy = [k for k, plan in enumerate(plans) if step < len(plan.batches)]
        own = torch.tensor(busy)
        x, target, share = _padded([plans[k] for k in busy], step, inputs)
        point = now[own]
        bias, weight = point[:, :n_labels], point[:, n_labels:].view(len(busy), n_labels, -1)
        logits = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
        loss, pushed = _loss_and_gradient(task, logits, target, work.smoothing)
        pushed = pushed * share[..., None]
        by_bias = pushed.sum(1)
        by_weight = torch.bmm(pushed.transpose(1, 2), x)
        gradient = torch.cat([by_bias, by_weight.flatten(1)], 1)
        gradient = gradient + work.proximal * (point - starts[own])
        if pull is not None:
            gradient = gradient + pull[own]
        now[own] = point - work.rate * gradient
        held = (share > 0).sum(1)
        loss_sum[own] += (loss * share).sum(1) * held
        clips[own] += held
    means = (loss_sum / clips).tolist()
    return [Learned(now[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


def _padded(plans: Sequence[Lesson], step: int, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """Gives [K, B, E] inputs, [K, B] targets and [K, B] shares of the mean, 0 where a batch is shorter."""
    longest = max(len(plan.batches[step]) for plan in plans)
    rows, triggered, target = (
        torch.zeros(len(plans), longest, dtype=d) for d in (torch.long, torch.bool, torch.long)
    )
    share = torch.zeros(len(plans), longest)
    for k, plan in enumerate(plans):
        positions = plan.batches[step]
        n = len(positions)
        rows[k, :n], target[k, :n] = plan.rows[positions], plan.target[positions]
        triggered[k, :n] = plan.triggered[positions]
        share[k, :n] = 1 / n
    # Cached embeddings are not varied, so that whose generator is given makes no difference.
    x = inputs(rows.flatten(), triggered.flatten(), plans[0].augmentation)
    return x.view(len(plans), longest, -1), target, share


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
