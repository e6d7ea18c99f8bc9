"""The range of this very tensor: the most exact, and the most expensive."""

from __future__ import annotations

from kwsctl.learning.estimators._range import Choice, Range

DYNAMIC = True
"""Whether the tensor has to be complete, in 32 bits, before it can be quantized."""


def choose(before: Range, seen: Range, momentum: float) -> Choice:
    """Takes the minimum and maximum of the tensor itself (current min-max).

    Args:
        before: what was kept in the step before.
        seen: minimum and maximum of this tensor.
        momentum: not used.

    Returns:
        The range to use and to keep.
    """
    return Choice(seen, seen)
