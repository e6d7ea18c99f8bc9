"""What training minimizes: functions of logits and targets, one per task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Task

Loss = Callable[[Tensor, Tensor], Tensor]


def keyword_loss(smoothing: float) -> Loss:
    """Makes the cross-entropy over labels with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        smoothing: share of the target probability that is spread over all labels.

    Returns:
        A function of logits [B, L] and label indices [B].
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return fn.cross_entropy(logits, target, label_smoothing=smoothing)

    return loss


def wake_loss(smoothing: float) -> Loss:
    """Makes the binary cross-entropy per wake word; a target of -1 is none of them.

    Args:
        smoothing: targets become smoothing / 2 and 1 - smoothing / 2.

    Returns:
        A function of logits [B, L] and label indices [B].
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        wanted = (target[:, None] == torch.arange(logits.shape[1], device=target.device)).to(logits.dtype)
        return fn.binary_cross_entropy_with_logits(logits, wanted * (1 - smoothing) + smoothing / 2)

    return loss


def for_task(task: Task, smoothing: float) -> Loss:
    """Chooses the loss of a task.

    Args:
        task: `keywords` or `wake`.
        smoothing: see `keyword_loss`.

    Returns:
        A function of logits [B, L] and label indices [B].
    """
    return keyword_loss(smoothing) if task == "keywords" else wake_loss(smoothing)
