"""Breaks a comparison down by label and by speaker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def losses_by(names: Sequence[str | None], lost: NDArray[np.float64]) -> dict[str, float]:
    """Averages losses per name.

    Args:
        names: N labels or speakers, None where not known.
        lost: [N] 1 where only the float model was right, -1 where only the form was.

    Returns:
        Points lost per name, of those that are not 0.
    """
    means = {name: 100 * float(lost[rows].mean()) for name, rows in _rows(names).items()}
    return {name: mean for name, mean in means.items() if mean}


def accuracies_by(
    names: Sequence[str | None], exact: NDArray[np.float64], found: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Averages right answers per name.

    Args:
        names: N labels or speakers, None where not known.
        exact: [N] 1 where the float model was right.
        found: [N] 1 where the form was.

    Returns:
        Per name, how many windows, and both accuracies.
    """
    return {
        name: {"n": len(rows), "float": float(exact[rows].mean()), "accuracy": float(found[rows].mean())}
        for name, rows in _rows(names).items()
    }


def _rows(names: Sequence[str | None]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            rows.setdefault(name, []).append(row)
    return dict(sorted(rows.items()))
