"""Tunes biases and the scale and shift of normalization, a hundredth of the weights."""

from __future__ import annotations

from kwsctl.bundle import Delta
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import Tuning, changes, tuned

LEARNING_RATE, STAY = 5e-3, 0.01


def tuning(task: Enrolment) -> Tuning:
    """Gives what is tuned and how."""
    return Tuning(
        lambda net: [p for name, p in net.named_parameters() if p.ndim == 1 or name == "head.weight"],
        LEARNING_RATE,
        STAY,
    )


def learn(task: Enrolment) -> Delta:
    """Tunes every vector of the network (BitFit, Ben Zaken et al. 2022, arXiv 2106.10199) and the head.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        Changes of biases, of normalization and of the head.
    """
    network = tuned(task, tuning(task))
    return task.delta(changes(task, network), "bias", learning_rate=LEARNING_RATE, stay=STAY)
