"""The keyword is what is near the mean of the person's clips."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._row import evidence, prototype_row


def learn(task: Enrolment) -> Delta:
    """Makes the mean of the normalized embeddings a row of the head (Snell et al. 2017, arXiv 1703.05175).

    The stored negatives are the open set: they decide how near is near enough. A prototype of a keyword that
    the base knows is drawn towards the base's own.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        One row of the head.
    """
    row = prototype_row(task, evidence(task))
    return task.row_delta(row.weight, row.bias, "prototype")
