"""The range of a tensor, and what an estimator decides about it."""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """The smallest and the largest number that is told exactly.

    Attributes:
        low: the smallest.
        high: the largest.
    """

    low: float
    high: float

    def towards(self, other: Range, share: float) -> Range:
        """Moves a share of the way to another range."""
        return Range(self.low + share * (other.low - self.low), self.high + share * (other.high - self.high))


class Choice(NamedTuple):
    """What an estimator decides.

    Attributes:
        used: the range that this tensor is quantized to.
        kept: the range to remember for the next step.
    """

    used: Range
    kept: Range
