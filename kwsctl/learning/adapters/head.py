"""A row of the head, fitted to the person's clips against the stored negatives."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._row import evidence, fit_row, prototype_row

STRENGTH = 3e-4


def learn(task: Enrolment) -> Delta:
    """Fits one row by logistic regression that stays near the prototype's.

    The base's row of a known keyword takes part in the prototype; what is learned is what tells the person's
    clips from the negatives that come nearest.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        One row of the head.
    """
    found = evidence(task)
    row = fit_row(found, prototype_row(task, found), strength=STRENGTH)
    return task.row_delta(row.weight, row.bias, "head", strength=STRENGTH)
