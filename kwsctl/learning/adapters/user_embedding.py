"""A vector of the person that weighs the entries of the embedding, before a head that stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._row import evidence, first_row

STRENGTH = 3e-3
STEPS = 60


def learn(task: Enrolment) -> Delta:
    """Learns a factor for each entry of the embedding (Cioflan et al. 2024, arXiv 2403.07802).

    The backbone is frozen, and so are the rows of the head; as their product with the weighed embedding is
    that of weighed rows, the factors go into the rows, of all labels alike, and cost nothing at run time.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        The rows of the head, weighed.
    """
    found, row, head = evidence(task), first_row(task), task.head
    factors = torch.zeros(len(row.weight), requires_grad=True)
    bias = row.bias.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([factors, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        weight = row.weight * (1 + factors)
        positive = found.positive @ weight + bias - found.positive_rivals
        negative = found.negative @ weight + bias - found.negative_rivals
        value = fn.softplus(-positive).mean() + fn.softplus(negative).mean()
        value = value + STRENGTH * factors.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    factors, bias = factors.detach(), bias.detach()
    delta = task.row_delta(row.weight * (1 + factors), bias, "user_embedding", strength=STRENGTH)
    weight = delta.changes["head.weight"]
    others = [i for i in range(len(task.base.labels)) if i != task.row]
    weight[others] += head.weight[others] * factors
    return delta
