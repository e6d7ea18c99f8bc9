"""Tunes what is added and nothing that multiplies, which needs next to no memory."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._sparse import LEARNING_RATE, STAY, fitting
from kwsctl.learning.adapters._tuning import Tuning, changes, spent, tuned


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how, in as few pieces as the budget allows."""
    return fitting(task, ())


def learn(task: Enrolment) -> Delta:
    """Tunes biases, also of normalization, and the head (Cai et al. 2020, TinyTL, arXiv 2007.11622).

    The gradient of a bias needs no activation, so that nothing is kept for the backward pass but a bit for
    each ReLU.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of biases and of the head.

    Raises:
        InputError: the budget is too small.
    """
    how = tuning(task)
    network = tuned(task, how)
    return task.delta(
        changes(task, network),
        "shift",
        learning_rate=LEARNING_RATE,
        stay=STAY,
        pieces=how.pieces,
        training_bytes=spent(task, how).training_bytes,
    )
