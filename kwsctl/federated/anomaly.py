"""Scores how unlike the others each client's change is, and bars those that stay unlike.

The score is the largest of three robust z-scores (distance from the median over 1.4826 times the median
absolute deviation): of the logarithm of the length, of the distance to the coordinate-wise median, and of the
cosine to it. An honest person with an unusual voice has high scores, too: what is barred is logged and
reported, so that it can be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Delta
from kwsctl.federated.layout import stacked

MAD_TO_SIGMA = 1.4826
FEWEST = 4


@dataclass(frozen=True)
class Watch:
    """When a client is barred.

    Attributes:
        score: from which a change is left out of its round; 0 watches without acting.
        strikes: rounds in a row after which the client is not asked any more.
    """

    score: float = 0.0
    strikes: int = 3


def anomaly_scores(deltas: Sequence[Delta]) -> Tensor:
    """Scores changes, [K]; zeros if there are fewer than four to compare."""
    if len(deltas) < FEWEST:
        return torch.zeros(len(deltas))
    rows, _ = stacked(deltas)
    middle = rows.quantile(0.5, dim=0)
    length = rows.norm(dim=1).clamp_min(1e-12).log()
    distance = (rows - middle).norm(dim=1).clamp_min(1e-12).log()
    cosine = fn.cosine_similarity(rows, middle[None], dim=1)
    return torch.stack([_robust_z(length).abs(), _robust_z(distance), _robust_z(-cosine)]).amax(0)


def strikes_after(
    strikes: Mapping[str, int], names: Sequence[str], scores: Sequence[float], watch: Watch
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Counts rounds in a row with a high score.

    Args:
        strikes: by name, before this round.
        names: K clients of this round.
        scores: [K].
        watch: when to act.

    Returns:
        The counts after this round, and who is left out of it.
    """
    after = dict(strikes)
    out = []
    for name, score in zip(names, scores, strict=True):
        high = 0 < watch.score <= score
        after[name] = after.get(name, 0) + 1 if high else 0
        if high:
            out.append(name)
    return {name: count for name, count in after.items() if count}, tuple(out)


def barred(strikes: Mapping[str, int], watch: Watch) -> tuple[str, ...]:
    """Names the clients that are not asked any more."""
    return tuple(sorted(name for name, count in strikes.items() if watch.score and count >= watch.strikes))


def _robust_z(values: Tensor) -> Tensor:
    away = values - values.quantile(0.5)
    spread = away.abs().quantile(0.5) * MAD_TO_SIGMA
    return away / spread.clamp_min(0.02)  # where all are alike, a small difference is none
