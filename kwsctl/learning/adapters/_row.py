"""Fits one row of a head, as a convex problem on embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.optimize
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.adapters._enrolment import Enrolment, direction, embed, has_unit_length, rivals

SHARPNESS = 16.0  # of a first row on embeddings of length one: cosines differ by some tenths
COPIES = 6
STEPS = 60
Floats = NDArray[np.float64]


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
    first = np.append(start.weight.double().numpy(), float(start.bias))
    free = np.ones(len(first)) if not bias_only else np.eye(len(first))[-1]

    def value(row: Floats) -> tuple[float, Floats]:
        moved = row - first
        loss, gradient = logistic(found, row[:-1], row[-1])
        away = np.append(moved[:-1], 0.0)
        return loss + strength * float(away @ away), (gradient + 2 * strength * away) * free

    return row_of(minimized(value, first))


def minimized(value: Callable[[Floats], tuple[float, Floats]], first: Floats) -> Floats:
    """Minimizes a smooth convex function by L-BFGS.

    Args:
        value: gives the function and its gradient.
        first: where to begin.

    Returns:
        Where it is least.
    """
    # torch.optim would do as well, but importing it takes longer than all of enrolment.
    found = scipy.optimize.minimize(value, first, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return cast(Floats, found.x)


def row_of(numbers: Floats) -> Row:
    """Makes a row of weight and bias in one array [E + 1]."""
    tensor = torch.from_numpy(numbers).float()
    return Row(tensor[:-1], tensor[-1])


def logistic(found: Evidence, weight: Floats, bias: float) -> tuple[float, Floats]:
    """Computes the logistic loss of a row, positives and negatives weighing alike.

    Args:
        found: the evidence.
        weight: [E].
        bias: a scalar.

    Returns:
        The loss, and its gradient [E + 1], the bias last.
    """
    total, gradient = 0.0, np.zeros(len(weight) + 1)
    for embeddings, others, sign in (
        (found.positive, found.positive_rivals, -1.0),
        (found.negative, found.negative_rivals, 1.0),
    ):
        points = embeddings.double().numpy()
        margin = sign * (points @ weight + bias - others.double().numpy())
        total += float(np.logaddexp(0.0, margin).mean())
        pull = sign * scipy.special.expit(margin) / len(points)
        gradient += np.append(pull @ points, pull.sum())
    return total, gradient


def first_row(task: Enrolment) -> Row:
    """Gives the base's own row of the keyword, or a prototype's if it has none."""
    if task.is_new:
        return prototype_row(task, evidence(task))
    return Row(task.head.weight[task.row].clone(), task.head.bias[task.row].clone())
