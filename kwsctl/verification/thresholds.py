"""From which score on a clip is a user's, and how well that tells users from others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.evaluation import intervals, metrics
from kwsctl.seeding import numpy_generator

Floats = NDArray[np.float64]
RATES = (0.8, 0.9, 0.95)


def warm_up(scores: Floats, tpr: float) -> float:
    """Sets a user's threshold from the user's own clips (Hosseini et al. 2021, arXiv 2104.08776, section 4).

    Args:
        scores: [n] of clips of the user that nothing was learned from.
        tpr: q, the share that is to be let in.

    Returns:
        The i-th smallest score with i = floor(n (1 - q)); what is above it is accepted.

    Raises:
        InputError: no clips, or no share.
    """
    if not len(scores) or not 0 < tpr <= 1:
        raise InputError(f"{len(scores)} clips and a share of {tpr:g} set no threshold.", "Use 0.5 to 1.")
    place = math.floor(len(scores) * (1 - tpr) + 1e-9)
    ordered = np.sort(scores)
    return float(ordered[place - 1]) if place else float(np.nextafter(ordered[0], -np.inf))


@dataclass(frozen=True, eq=False)
class UserTrials:
    """Scores for one user.

    Attributes:
        user: the name.
        own: [n] of the user's clips.
        others: [m] of clips of others.
        threshold: by the warm-up; nan if there was none.
    """

    user: str
    own: Floats
    others: Floats
    threshold: float = math.nan


@dataclass(frozen=True)
class Share:
    """A mean over users.

    Attributes:
        mean: of the users.
        low: lower end of the 95 % interval, by bootstrap over users.
        high: its upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """How well users are told from others; each user has a threshold of its own.

    Attributes:
        fpr: share of others let in, where as many of the user's clips are as the key says.
        eer: where both errors are alike.
        warm_up_tpr: share of the user's clips let in at the threshold of the warm-up; None without one.
        warm_up_fpr: share of others let in at it.
        users: over how many.
        own: clips of users.
        others: clips of others.
    """

    fpr: dict[str, Share]
    eer: Share
    warm_up_tpr: Share | None
    warm_up_fpr: Share | None
    users: int
    own: int
    others: int


def figures(trials: Sequence[UserTrials], seed: int = 0) -> Figures:
    """Sums trials up.

    Args:
        trials: at least one; a user may come several times, as of several seeds.
        seed: of the bootstrap.

    Returns:
        Means over trials, with intervals over users.

    Raises:
        InputError: nobody, or a user without clips of both kinds.
    """
    if not trials:
        raise InputError("Nobody is there to be verified.", "Give clips of two people or more.")
    names = [one.user for one in trials]

    def share(values: Sequence[float]) -> Share:
        found = intervals.bootstrap(
            np.array(values, dtype=np.float64), names, numpy_generator(seed, "users"), resamples=1000
        )
        return Share(float(np.mean(values)), found.low, found.high)

    warm = not any(math.isnan(one.threshold) for one in trials)
    return Figures(
        fpr={f"{rate:g}": share([fpr_at(one, rate) for one in trials]) for rate in RATES},
        eer=share([metrics.eer(one.own, one.others).rate for one in trials]),
        warm_up_tpr=share([float((t.own > t.threshold).mean()) for t in trials]) if warm else None,
        warm_up_fpr=share([float((t.others > t.threshold).mean()) for t in trials]) if warm else None,
        users=len(set(names)),
        own=sum(len(one.own) for one in trials),
        others=sum(len(one.others) for one in trials),
    )


def fpr_at(trial: UserTrials, tpr: float) -> float:
    """Gives the share of others let in at the highest threshold that lets in `tpr` of the user's clips."""
    ordered = np.sort(trial.own)
    threshold = ordered[len(ordered) - math.ceil(len(ordered) * tpr - 1e-9)]
    return float((trial.others >= threshold).mean())


def roc(trials: Sequence[UserTrials], points: int = 200) -> tuple[Floats, Floats]:
    """Traces rates of true and false accepts, mean over users at equal shares of their clips.

    Args:
        trials: at least one.
        points: of the curve.

    Returns:
        [points] share of others let in, and [points] share of the user's clips, rising.
    """
    rates = np.linspace(1 / points, 1, points)
    return np.array([np.mean([fpr_at(one, rate) for one in trials]) for rate in rates]), rates
