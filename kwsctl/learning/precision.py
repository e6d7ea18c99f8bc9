"""How many bits training computes with, and how their ranges are found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.learning.traffic import Bits

FULL = "fp32"
ESTIMATORS = "kwsctl.learning.estimators"


@dataclass(frozen=True)
class Quantization:
    """How numbers are put on grids.

    Attributes:
        estimator: file in `learning/estimators/`, of the ranges of activations and gradients.
        momentum: share of the old range that stays in each step.
        weights: one range for a weight, or one for each output `channel`.
        rounding: of gradients; `stochastic` is right on average, which sums of many of them need (Chmiel et
            al. 2023, arXiv 2112.10769, section 3).
        symmetric: whether activations and gradients have zero in the middle of their range.
        arithmetic: `simulated` computes with whole numbers in floating point, `integer` in int8 and int32
            where that is possible. Both give the same sums.
        storage: `float` keeps weights in full precision beside their rounded form, `integer` keeps the
            rounded form alone, see `kwsctl.learning.integer_weights`; for enrolment and adaptation.
        gradient_scaling: with weights stored as integers, whether gradients are scaled to the size that they
            have in full precision (Lin et al. 2022, MCUNetV3, arXiv 2206.15472, section 2.1).
    """

    estimator: str = "in_hindsight"
    momentum: float = 0.9
    weights: Literal["tensor", "channel"] = "tensor"
    rounding: Literal["stochastic", "nearest"] = "stochastic"
    symmetric: bool = False
    arithmetic: Literal["simulated", "integer"] = "simulated"
    storage: Literal["float", "integer"] = "float"
    gradient_scaling: bool = True

    def __post_init__(self) -> None:
        registry.load(ESTIMATORS, self.estimator)
        if not 0 <= self.momentum < 1:
            raise InputError(f"A momentum of {self.momentum:g} keeps nothing new.", "Use 0 to 0.999.")


def bits_of(precision: str) -> Bits | None:
    """Reads a precision such as `w8a8g8`.

    Args:
        precision: `fp32`, or bits of weights, activations and gradients, 2 to 8 each.

    Returns:
        The bits; None for full precision.

    Raises:
        InputError: neither of the two.
    """
    if precision == FULL:
        return None
    found = re.fullmatch(r"w([2-8])a([2-8])g([2-8])", precision)
    if found is None:
        raise InputError(
            f"There is no precision {precision!r}.", "Use fp32, or bits from 2 to 8 such as w8a8g8 or w4a8g8."
        )
    return Bits(*(int(n) for n in found.groups()))
