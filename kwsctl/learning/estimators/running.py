"""A moving average of ranges, this tensor's included: steadier, and as expensive as the current range."""

from __future__ import annotations

from kwsctl.learning.estimators._range import Choice, Range

DYNAMIC = True
"""Whether the tensor has to be complete, in 32 bits, before it can be quantized."""


def choose(before: Range, seen: Range, momentum: float) -> Choice:
    """Takes the average with this tensor in it (running min-max).

    Args:
        before: what was kept in the step before.
        seen: minimum and maximum of this tensor.
        momentum: share of the old average that stays.

    Returns:
        The range to use and to keep.
    """
    after = seen.towards(before, momentum)
    return Choice(after, after)
