"""How a package adapts, and what it begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kwsctl.errors import InputError
from kwsctl.export.personal import Part
from kwsctl.export.scores import Head
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.votes import Votes
from kwsctl.registry import did_you_mean

METHODS = ("forward", "head", "threshold")
JOINT = 0.0
"""Limit of the joint vote: lower than with a bundle, whose trunk learns a loud room and lifts calls in it."""


@dataclass(frozen=True)
class PackageAdaptOptions:
    """How to adapt on a package.

    Attributes:
        method: `forward`, `head` (steps only) or `threshold`.
        every: new positives from which an update is tried.
        votes: limits of the votes; of those of a loud room none is asked for.
        tolerances: what an update may cost.
        seed: of everything random.
    """

    method: str = "forward"
    every: int = 6
    votes: Votes = field(default_factory=lambda: Votes(joint=JOINT))
    tolerances: Tolerances = field(default_factory=Tolerances)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(
                f"The method {self.method!r} cannot learn on an exported package.",
                f"{did_you_mean(self.method, METHODS)}Use {', '.join(METHODS)}; others change the backbone "
                "and need the bundle.",
            )
        if self.every < 1:
            raise InputError(f"Updates every {self.every} positives cannot be.", "Use 1 or more.")


def chosen(part: Part, keyword: str | None) -> str:
    """Finds the keyword to adapt.

    Args:
        part: of the person.
        keyword: which; None if there is only one.

    Returns:
        Its name.

    Raises:
        InputError: no such keyword, several, or one without clips to compare with.
    """
    names = sorted(part.keywords)
    if keyword is None and len(names) == 1:
        return names[0]
    if keyword is None or keyword not in part.keywords:
        asked = "several keywords" if keyword is None else f"no keyword {keyword!r}"
        raise InputError(f"{part.user!r} has {asked}.", f"Name one with --keyword: {', '.join(names)}.")
    if not len(part.centroids.get(keyword, ())):
        raise InputError(f"No clips of {keyword!r} are kept to compare with.", "Enroll it again.")
    return keyword


def without(head: Head, label: str) -> Head:
    """Gives the head without the row of a label."""
    kept = [i for i, known in enumerate(head.labels) if known != label]
    return Head(tuple(head.labels[i] for i in kept), head.task, head.weight[kept], head.bias[kept])


def logit(score: float) -> float:
    """Gives the margin that a score in [0, 1] is the sigmoid of."""
    exact = min(max(score, 1e-12), 1 - 1e-12)
    return math.log(exact / (1 - exact))
