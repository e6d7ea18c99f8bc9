"""Fits one row of a head, as a convex problem on embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.adapters._enrolment import Enrolment, direction, embed, has_unit_length, rivals

SHARPNESS = 16.0  # of a first row on embeddings of length one: cosines differ by some tenths
COPIES = 6
STEPS = 60


@dataclass(frozen=True, eq=False)
class Row:
    """One output of a head.

    Attributes:
        weight: [E].
        bias: a scalar.
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """Embeddings of what is the keyword and what is not, with what competes with it.

    Attributes:
        positive: [P, E].
        negative: [N, E].
        positive_rivals: [P], see `rivals`.
        negative_rivals: [N].
    """

    positive: Tensor
    negative: Tensor
    positive_rivals: Tensor
    negative_rivals: Tensor


def evidence(task: Enrolment) -> Evidence:
    """Embeds the person's clips, as they are and varied, and the negatives."""
    features = torch.cat([task.positives, task.varied(COPIES, "row")])
    positive = embed(task.network, features)
    return Evidence(
        positive,
        task.negative_embeddings,
        *(rivals(task.base.task, task.head(e), task.row) for e in (positive, task.negative_embeddings)),
    )


def prototype_row(task: Enrolment, found: Evidence) -> Row:
    """Gives the row whose direction is the person's mean, as long as other rows are.

    A row that the base has already counts like two clips more.
    """
    clips = found.positive[: len(task.power)]
    head = task.head
    # Embeddings that are not of length one have a mean that every word shares, and that says nothing.
    shared = torch.zeros_like(clips[0]) if has_unit_length(clips) else found.negative.mean(0)
    mean = direction(clips - shared)
    spread = float((clips - shared).norm(dim=1).mean())
    usual = float(head.weight.norm(dim=1).mean()) if len(task.base.labels) else SHARPNESS / spread
    if not task.is_new:
        mean = fn.normalize(len(clips) * mean + 2 * fn.normalize(head.weight[task.row], dim=0), dim=0)
    start = Row(usual * mean, torch.zeros(()))
    return fit_row(found, start, strength=0.0, bias_only=True)


def fit_row(found: Evidence, start: Row, *, strength: float, bias_only: bool = False) -> Row:
    """Minimizes the logistic loss, positives and negatives weighing alike, near a first row.

    Args:
        found: the evidence.
        start: where to begin, and what to stay near.
        strength: of staying near: lambda of L2-SP (Li et al. 2018, arXiv 1802.01483, equation 2).
        bias_only: leave the direction as it is.

    Returns:
        The row.
    """
    weight, bias = start.weight.clone(), start.bias.clone()
    free = [bias] if bias_only else [weight, bias]
    for part in free:
        part.requires_grad_(True)
    optimizer = torch.optim.LBFGS(free, max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        positive = found.positive @ weight + bias - found.positive_rivals
        negative = found.negative @ weight + bias - found.negative_rivals
        value = fn.softplus(-positive).mean() + fn.softplus(negative).mean()
        value = value + strength * (weight - start.weight).square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return Row(weight.detach(), bias.detach())


def first_row(task: Enrolment) -> Row:
    """Gives the base's own row of the keyword, or a prototype's if it has none."""
    if task.is_new:
        return prototype_row(task, evidence(task))
    return Row(task.head.weight[task.row].clone(), task.head.bias[task.row].clone())
