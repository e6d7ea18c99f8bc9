"""What can be set about an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from kwsctl.errors import InputError
from kwsctl.evaluation.streams import HOP_S


@dataclass(frozen=True)
class EvaluateOptions:
    """The fields behind `--set` and `--config` of `kwsctl evaluate`.

    Attributes:
        fa_per_hour: budget of false alarms per hour of background audio; chooses the threshold.
        smoothing_s: span of the moving average over scores, in s.
        refractory_s: after a detection nothing fires for so long, in s.
        hop_s: from window to window in continuous audio, in s.
        far: bound on the share of false alarms among clips, for the detection rate at it.
        batch_size: windows that the network sees at once.
        resamples: draws of the bootstrap.
    """

    fa_per_hour: float = 0.5
    smoothing_s: float = 0.3
    refractory_s: float = 2.0
    hop_s: float = HOP_S
    far: float = 0.01
    batch_size: int = 256
    resamples: int = 2000

    def __post_init__(self) -> None:
        for name in ("batch_size", "resamples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)} is not positive.", "Give 1 or more.")
