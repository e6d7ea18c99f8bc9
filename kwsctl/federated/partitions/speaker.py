"""One client for each speaker: the way it is when everybody has a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


def assign(
    target: NDArray[np.int64], speakers: Sequence[str | None], options: Options, draw: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Gives each speaker a client; clips of nobody known are dealt out evenly, as all hear noise."""
    names = sorted({name for name in speakers if name is not None})
    own = {name: [i for i, by in enumerate(speakers) if by == name] for name in names}
    nobody = draw.permutation([i for i, by in enumerate(speakers) if by is None])
    for place, i in enumerate(nobody):
        own[names[place % len(names)]].append(int(i))
    return {name: np.array(sorted(rows), dtype=np.int64) for name, rows in own.items()}
