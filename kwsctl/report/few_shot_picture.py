"""Draws how well outliers and everybody else are heard before and after enrolment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kwsctl.bench.few_shot_summary import FewShot, Row
from kwsctl.report.palette import BLUE, GROUND, INK, ORANGE
from kwsctl.storage import replacing

WIDTH = 0.38


def draw(found: FewShot, path: Path) -> None:
    """Draws bars with intervals, one pair for each number of clips of the method that does best.

    Args:
        found: what the bench measured.
        path: PNG or SVG.
    """
    rows = _rows(found)
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    for offset, name, colour in ((-WIDTH / 2, "outliers", ORANGE), (WIDTH / 2, "others", BLUE)):
        rates = np.array([getattr(row, name) for row in rows]) * 100
        error = np.abs(rates[:, 1:].T - rates[:, 0])
        axes.bar(places + offset, rates[:, 0], WIDTH, yerr=error, label=_label(name, found), color=colour,
                 error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 3})  # fmt: skip
        for place, rate in zip(places + offset, rates[:, 0], strict=True):
            axes.annotate(f"{rate:.1f}", (place, 2), ha="center", color="white", fontsize=9)
    labels = [
        "before" if not row.shots else f"{row.shots} clip{'s' if row.shots > 1 else ''}" for row in rows
    ]
    axes.set_xticks(places, labels)
    axes.set_ylim(0, 105)
    axes.set_ylabel("calls heard at 1 % wrong words, %")
    axes.set_title(
        f"Enrolment by {rows[-1].method!r}, {found.people} people the global model never heard",
        loc="left",
        pad=26,
    )
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=2, frameon=False, borderaxespad=0)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=130, facecolor=GROUND)


def _rows(found: FewShot) -> list[Row]:
    """Picks the row before enrolment, and those of the method with the best rate for everybody."""
    most = max(row.shots for row in found.rows)
    fewest = min(row.shots for row in found.rows if row.shots)
    tried_with_all = {row.method for row in found.rows if row.shots == fewest}
    candidates = [row for row in found.rows if row.shots == most and row.method in tried_with_all]
    best = max(candidates, key=lambda row: row.everybody[0]).method
    return [row for row in found.rows if row.method in ("global", best)]


def _label(name: str, found: FewShot) -> str:
    n = len(found.outliers) if name == "outliers" else found.people - len(found.outliers)
    return f"{name} ({n} people)"
