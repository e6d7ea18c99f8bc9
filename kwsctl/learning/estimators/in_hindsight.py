"""The average of the ranges before this step: known before the layer runs, so that no sum has to wait."""

from __future__ import annotations

from kwsctl.learning.estimators._range import Choice, Range

DYNAMIC = False
"""Whether the tensor has to be complete, in 32 bits, before it can be quantized."""


def choose(before: Range, seen: Range, momentum: float) -> Choice:
    """Takes what was known before, and learns from this tensor for the next step only.

    Fournarakis & Nagel 2021, "In-Hindsight Quantization Range Estimation for Quantized Training", arXiv
    2105.04246: minimum and maximum are taken from the sums as they are rounded, at no cost.

    Args:
        before: what was kept in the step before.
        seen: minimum and maximum of this tensor.
        momentum: share of the old average that stays.

    Returns:
        The range to use and to keep.
    """
    return Choice(before, seen.towards(before, momentum))
