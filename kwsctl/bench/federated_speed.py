"""How much faster many heads at once are than one by one, on the same work in the same process."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from kwsctl.bench.federated_people import Fold, crowd
from kwsctl.bench.federated_trials import session_of
from kwsctl.federated.heads import learn_heads
from kwsctl.federated.lessons import lesson
from kwsctl.federated.options import FederateOptions
from kwsctl.options import from_mapping

CLIENTS, CLIPS, PAIRS = 100, 12, 5


@dataclass(frozen=True)
class Speed:
    """CPU time of both ways, in pairs.

    Attributes:
        clients: of a round.
        ratio: median of the pairs, one by one over at once.
        low: the least of them.
        high: the greatest of them.
        apart: largest difference of a weight between both.
    """

    clients: int
    ratio: float
    low: float
    high: float
    apart: float


def heads_at_once(fold: Fold, seed: int) -> Speed:
    """Trains the heads of a hundred clients both ways, alternately.

    Args:
        fold: real clients, of which a crowd is made.
        seed: of everything random.

    Returns:
        The ratio of CPU times.
    """
    many = crowd(fold, CLIENTS, CLIPS, seed)
    options = from_mapping(FederateOptions, {"part": "head", "aggregator": "mean", "local": {"epochs": 2}})
    session = session_of(many, options, seed)
    target = many.corpus.train.target

    def plans() -> list:  # type: ignore[type-arg]  # of lessons
        return [
            lesson(c, target[torch.from_numpy(c.rows)], 0, seed, epochs=2, batch_size=4)
            for c in session.clients
        ]

    ratios, apart = [], 0.0
    for _ in range(PAIRS):
        began = time.process_time()
        loop = [session.resident.learn(session.first, plan, session.inputs, session.work) for plan in plans()]
        middle = time.process_time()
        starts = session.first.expand(CLIENTS, -1)
        once = learn_heads(session.base.task, starts, session.n_labels, plans(), session.inputs, session.work)
        ended = time.process_time()
        ratios.append((middle - began) / (ended - middle))
        apart = max(
            apart, *(float((a.weights - b.weights).abs().max()) for a, b in zip(loop, once, strict=True))
        )
    return Speed(CLIENTS, statistics.median(ratios), min(ratios), max(ratios), apart)
