"""Tunes every weight, held back by L2-SP and distillation."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import changes, tune

LEARNING_RATE, STAY = 5e-4, 0.01


def learn(task: Enrolment) -> Delta:
    """Tunes the whole network; the profile becomes as large as the model.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of all weights.
    """
    tuned = tune(task, lambda net: list(net.parameters()), learning_rate=LEARNING_RATE, stay=STAY)
    return task.delta(changes(task, tuned), "full", learning_rate=LEARNING_RATE, stay=STAY)
