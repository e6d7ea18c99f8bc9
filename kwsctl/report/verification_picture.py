"""Draws rates of true against false accepts for ways to learn who speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kwsctl import storage


def draw_roc(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: Path, title: str) -> None:
    """Writes the picture atomically.

    Args:
        curves: by name, false and true accepts from 0 to 1.
        path: PNG or SVG.
        title: above it.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for name, (false, true) in curves.items():
        axes.plot([max(value, 1e-4) for value in false], true, label=name)
    axes.set_xscale("log")
    axes.set_xlim(1e-4, 1)
    axes.set_xlabel("share of others' clips let in")
    axes.set_ylabel("share of own clips let in")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.suptitle(title, fontsize=10.5)
    kind = path.suffix.lower().lstrip(".") or "png"
    with storage.replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150)
