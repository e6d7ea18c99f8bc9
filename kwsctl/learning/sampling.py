"""Chooses which windows an epoch learns from: keywords evenly, others where they are confused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.learning.task import Problem
from kwsctl.types import SILENCE, UNKNOWN


@dataclass(frozen=True)
class Shares:
    """How an epoch is made up.

    Attributes:
        unknown: windows of other words for each window of a keyword (keyword sets).
        silence: windows of background for each window of a keyword (keyword sets).
        positive: share of windows that hold the word (wake words).
        least_windows: an epoch of a wake word has at least so many.
    """

    unknown: float = 0.15
    silence: float = 0.05
    positive: float = 0.25
    least_windows: int = 4000


class Sampler:
    """Draws the windows of each epoch, and mines negatives.

    A negative is drawn the more often, the more it was taken for a keyword when it was last seen
    (`hardness`), so that near-misses are heard again and again and easy ones now and then.

    Args:
        problem: the training windows and their targets.
        shares: how an epoch is made up.
        batch_size: B.
    """

    FLOOR = 0.05  # an easy negative is drawn 20 times less often than one that was surely a keyword

    def __init__(self, problem: Problem, shares: Shares, batch_size: int) -> None:
        self.target = torch.from_numpy(problem.train.target)
        self.hardness = torch.ones(len(self.target))
        self._batch_size = batch_size
        self._keywords = torch.tensor([problem.labels.index(word) for word in problem.keywords])
        is_keyword = torch.isin(self.target, self._keywords)
        self._groups: list[tuple[Tensor, int]] = []  # windows, and how many of them an epoch takes
        words = torch.nonzero(is_keyword)[:, 0]
        if problem.task == "wake":
            wanted = max(len(words), round(shares.least_windows * shares.positive))
            others = torch.nonzero(~is_keyword)[:, 0]
            self._groups += [(words, wanted), (others, round(wanted * (1 / shares.positive - 1)))]
        else:
            self._groups += [(words, len(words))]
            for label, share in ((UNKNOWN, shares.unknown), (SILENCE, shares.silence)):
                if label in problem.labels:
                    rows = torch.nonzero(self.target == problem.labels.index(label))[:, 0]
                    self._groups += [(rows, max(1, round(len(words) * share)))]

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last one may be smaller, a single window is left out."""
        full, rest = divmod(sum(n for rows, n in self._groups if len(rows)), self._batch_size)
        return full + (rest > 1 or full == 0)

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Draws the rows of each batch of an epoch."""
        parts = [self._draw(rows, n, generator) for rows, n in self._groups if len(rows)]
        everything = torch.cat(parts)
        shuffled = everything[torch.randperm(len(everything), generator=generator)]
        batches = torch.split(shuffled, self._batch_size)
        return iter(batches[: self.steps])

    def hardness_of(self, probabilities: Tensor) -> Tensor:
        """Tells how much windows were taken for a keyword: scores [B, L] to hardness [B]."""
        return probabilities[:, self._keywords].amax(1)

    def _draw(self, rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
        is_negative = not torch.isin(self.target[rows[:1]], self._keywords).any()
        if is_negative and n < len(rows):
            weight = self.hardness[rows] + self.FLOOR
            return rows[torch.multinomial(weight, n, replacement=False, generator=generator)]
        repeats = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-n // len(rows)))]
        return torch.cat(repeats)[:n]
