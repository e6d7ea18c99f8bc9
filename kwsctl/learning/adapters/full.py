"""Tunes every weight, held back by L2-SP and distillation."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import Tuning, changes, tuned

LEARNING_RATE, STAY = 5e-4, 0.01


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how."""
    return Tuning(lambda net: list(net.parameters()), LEARNING_RATE, STAY)


def learn(task: Enrolment) -> Delta:
    """Tunes the whole network; the profile becomes as large as the model.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of all weights.
    """
    network = tuned(task, tuning(task))
    return task.delta(changes(task, network), "full", learning_rate=LEARNING_RATE, stay=STAY)
