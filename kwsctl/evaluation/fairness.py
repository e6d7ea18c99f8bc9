"""How the worst-served speakers fare: a mean over all hides those for whom nothing works.

The worst decile is the mean over the worst tenth of the speakers, each speaker counting once
however many clips there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError


@dataclass(frozen=True)
class SpeakerRate:
    """One speaker's share of right answers.

    Attributes:
        speaker: who.
        rate: accuracy, or detection rate for a wake word.
        n: clips.
    """

    speaker: str
    rate: float
    n: int


@dataclass(frozen=True)
class WorstDecile:
    """The worst-served tenth of the speakers, beside all others.

    Attributes:
        rate: mean rate of these speakers.
        rest: mean rate of the others.
        gap: `rest` minus `rate`.
        speakers: their names, worst first.
        n_speakers: speakers in all.
        n: clips of the worst-served speakers.
    """

    rate: float
    rest: float
    gap: float
    speakers: tuple[str, ...]
    n_speakers: int
    n: int


def per_speaker(
    values: NDArray[np.float64] | Sequence[float], speakers: Sequence[str | None]
) -> tuple[SpeakerRate, ...]:
    """Averages per speaker, worst first; clips without a speaker are left out.

    Args:
        values: [N] one number per clip, such as 1 for right and 0 for wrong.
        speakers: [N] who speaks, None where it is not known.

    Returns:
        One row per speaker.
    """
    of: dict[str, list[float]] = {}
    for value, speaker in zip(values, speakers, strict=True):
        if speaker is not None:
            of.setdefault(speaker, []).append(float(value))
    rows = [SpeakerRate(speaker, sum(found) / len(found), len(found)) for speaker, found in of.items()]
    return tuple(sorted(rows, key=lambda row: (row.rate, row.speaker)))


def worst_decile(rows: Sequence[SpeakerRate]) -> WorstDecile:
    """Mean over the worst ceil(10 %) of the speakers, and the gap to the rest.

    Args:
        rows: as from `per_speaker`.

    Returns:
        Both means, and who is among the worst.

    Raises:
        InputError: fewer than two speakers, so that there is no rest.
    """
    if len(rows) < 2:
        raise InputError(
            f"There is no worst decile of {len(rows)} speaker(s).", "Test on at least two labelled speakers."
        )
    ordered = sorted(rows, key=lambda row: (row.rate, row.speaker))
    n_worst = math.ceil(len(ordered) / 10)
    worst, others = ordered[:n_worst], ordered[n_worst:]
    rate = float(np.mean([row.rate for row in worst]))
    rest = float(np.mean([row.rate for row in others]))
    return WorstDecile(
        rate=rate,
        rest=rest,
        gap=rest - rate,
        speakers=tuple(row.speaker for row in worst),
        n_speakers=len(ordered),
        n=sum(row.n for row in worst),
    )
