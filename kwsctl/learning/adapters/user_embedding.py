"""A vector of the person that weighs the entries of the embedding, before a head that stays as it is."""

from __future__ import annotations

import numpy as np

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._row import Floats, evidence, first_row, logistic, minimized, row_of

STRENGTH = 3e-3


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
    weight = row.weight.double().numpy()

    def value(numbers: Floats) -> tuple[float, Floats]:
        loss, gradient = logistic(found, weight * (1 + numbers[:-1]), numbers[-1])
        away = np.append(numbers[:-1], 0.0)
        return loss + STRENGTH * float(away @ away), gradient * np.append(weight, 1.0) + 2 * STRENGTH * away

    learned = row_of(minimized(value, np.append(np.zeros(len(weight)), float(row.bias))))
    factors, bias = learned.weight, learned.bias
    delta = task.row_delta(row.weight * (1 + factors), bias, "user_embedding", strength=STRENGTH)
    others = [i for i in range(len(task.base.labels)) if i != task.row]
    delta.changes["head.weight"][others] += head.weight[others] * factors
    return delta
