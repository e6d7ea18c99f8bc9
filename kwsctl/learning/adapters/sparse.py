"""Tunes the layers that are found to help most for the memory they take."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._sparse import LEARNING_RATE, STAY, chosen, fitting
from kwsctl.learning.adapters._tuning import Tuning, changes, spent, tuned


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how, in as few pieces as the budget allows."""
    return fitting(task, chosen(task))


def learn(task: Enrolment) -> Delta:
    """Tunes biases, the head, and layers that fit the budget (Lin et al. 2022, MCUNetV3, arXiv 2206.15472).

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of biases, of the head and of the chosen layers.

    Raises:
        InputError: the budget is too small even for biases.
    """
    layers = chosen(task)
    how = fitting(task, layers)
    return task.delta(
        changes(task, tuned(task, how)),
        "sparse",
        learning_rate=LEARNING_RATE,
        stay=STAY,
        pieces=how.pieces,
        layers=list(layers),
        training_bytes=spent(task, how).training_bytes,
    )
