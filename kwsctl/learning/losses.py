"""What training minimizes: functions of logits and targets, one per task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.loop import Batch, Judge, Judged

Loss = Callable[[Tensor, Tensor], Tensor]


def keyword_loss(smoothing: float, *, each: bool = False) -> Loss:
    """Makes the cross-entropy over labels with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        smoothing: share of the target probability that is spread over all labels.
        each: give the loss of each clip instead of their mean.

    Returns:
        A function of logits [B, L] and label indices [B].
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        reduction = "none" if each else "mean"
        return fn.cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction)

    return loss


def wake_loss(smoothing: float, *, each: bool = False) -> Loss:
    """Makes the binary cross-entropy per wake word; a target of -1 is none of them.

    Args:
        smoothing: targets become smoothing / 2 and 1 - smoothing / 2.
        each: give the loss of each clip instead of their mean.

    Returns:
        A function of logits [B, L] and label indices [B].
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        wanted = (target[:, None] == torch.arange(logits.shape[1], device=target.device)).to(logits.dtype)
        goal = wanted * (1 - smoothing) + smoothing / 2
        found = fn.binary_cross_entropy_with_logits(logits, goal, reduction="none").mean(1)
        return found if each else found.mean()

    return loss


def classification(loss: Loss) -> Judge:
    """Makes the judge of a model that gives logits.

    Args:
        loss: of logits and targets.

    Returns:
        A judge that counts a clip as right if its target has the highest logit; for a target of -1, none may
        be positive.
    """

    def judge(logits: Tensor, batch: Batch) -> Judged:
        logits = logits.float()
        value = loss(logits, batch.target)
        return Judged(value, float((_predicted(logits.detach(), batch.target) == batch.target).sum()))

    return judge


def _predicted(logits: Tensor, target: Tensor) -> Tensor:
    """Gives the label with the highest logit; where targets may be -1, that if no logit is positive."""
    highest = logits.max(1)
    if bool((target >= 0).all()):
        return highest.indices
    return torch.where(highest.values > 0, highest.indices, -1)
