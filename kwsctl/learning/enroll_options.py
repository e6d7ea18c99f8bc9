"""How to enrol a keyword."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kwsctl.errors import InputError
from kwsctl.learning.budget import far_of
from kwsctl.learning.precision import FULL, Quantization, bits_of

Policy = Literal["biased", "only"]


@dataclass(frozen=True)
class EnrollOptions:
    """How to enrol.

    Attributes:
        method: file in `learning/adapters/`, or `auto`.
        policy: `biased`: others who say the keyword are neutral; `only`: they are refused.
        far: budget of false alarms as a share of words that are not the keyword.
        fa_per_hour: budget in an hour of speech without a pause, in the place of `far`.
        seed: of everything random.
        precision: of methods that tune the network, such as `w8a8g8`.
        memory_budget: bytes for activations, gradients and optimizer; with `auto`, decides what is tuned.
        quantization: how numbers are put on grids, where there is a precision.
    """

    method: str = "auto"
    policy: Policy = "biased"
    far: float = 0.005
    fa_per_hour: float | None = None
    seed: int = 0
    precision: str = FULL
    memory_budget: int | None = None
    quantization: Quantization = field(default_factory=Quantization)

    def __post_init__(self) -> None:
        bits_of(self.precision)
        if self.policy not in ("biased", "only"):
            raise InputError(f"There is no policy {self.policy!r}.", "Use biased or only.")
        if not 0 < self.budget < 1:
            raise InputError(
                f"A budget of {self.budget:g} is no share of words.", "Give one between 0 and 1."
            )

    @property
    def budget(self) -> float:
        """Share of words that may be taken for the keyword."""
        return self.far if self.fa_per_hour is None else far_of(self.fa_per_hour)
