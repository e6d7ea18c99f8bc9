"""Draws the pictures of docs/concepts.md as SVG: `python docs/pictures.py`.

The curve is computed from two normal distributions of scores; it explains and shows no measured figure.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from scipy.special import ndtr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).resolve().parent / "pictures"
INK, GROUND, BLUE, PALE, ORANGE = "#24292f", "#fbfbf9", "#2166ac", "#dce7f1", "#d6604d"


def boxes(
    axes: Axes, places: dict[str, tuple[float, float]], width: float = 1.6, height: float = 0.7
) -> None:
    """Draws boxes with their names; a line break makes the second line small."""
    for name, (x, y) in places.items():
        shape = FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, "round,pad=0.02,rounding_size=0.1"
        )
        shape.set(facecolor=PALE, edgecolor=BLUE)
        axes.add_patch(shape)
        first, _, rest = name.partition("\n")
        axes.text(
            x,
            y + (0.1 if rest else 0),
            first,
            ha="center",
            va="center",
            color=INK,
            weight="bold",
            fontsize=10,
        )
        axes.text(x, y - 0.18, rest, ha="center", va="center", color=INK, fontsize=8)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draws an arrow."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.2})


def life(figure: Figure) -> None:
    """The life of a wake word."""
    axes = bare(figure, (0, 12), (0.4, 2.2))
    names = ("train\nmany voices", "enroll\na few clips", "adapt\nunlabelled audio", "federate\nmany devices",
             "export\nquantized", "listen\non the device")  # fmt: skip
    places = {name: (1 + 2 * i, 1.0) for i, name in enumerate(names)}
    boxes(axes, places)
    for i in range(5):
        arrow(axes, (1.82 + 2 * i, 1.0), (2.18 + 2 * i, 1.0))
    bent = {"arrowstyle": "->", "color": ORANGE, "lw": 1.2, "connectionstyle": "arc3,rad=0.2"}
    axes.annotate("", (5, 1.4), (11, 1.4), arrowprops=bent)
    axes.text(8, 1.75, "what is heard is learned from", ha="center", va="top", fontsize=8, color=INK)


def threshold(figure: Figure) -> None:
    """What a threshold trades."""
    left, right = figure.subplots(1, 2)
    x = np.linspace(-3.5, 5.5, 400)
    for mean, colour, name in ((0.0, ORANGE, "other sounds"), (2.4, BLUE, "the keyword")):
        density = np.exp(-((x - mean) ** 2) / 2)
        left.fill_between(x, density, color=colour, alpha=0.25)
        left.plot(x, density, color=colour, label=name)
    left.axvline(1.4, color=INK, ls="--", label="threshold")
    left.set(title="Scores", xlabel="score", yticks=[], xticks=[])
    left.legend(fontsize=8, frameon=False, loc="upper left")
    missed, alarms = 100 * ndtr(x - 2.4), 100 * (1 - ndtr(x))
    right.plot(alarms, missed, color=BLUE)
    right.plot(100 * (1 - ndtr(1.4)), 100 * ndtr(1.4 - 2.4), "o", color=ORANGE)
    point = (100 * (1 - ndtr(1.4)), 100 * ndtr(-1.0))
    right.annotate("operating point", point, (12, 8), textcoords="offset points", fontsize=8)
    right.set(
        title="Every threshold",
        xlabel="false alarms, in %",
        ylabel="missed, in %",
        xlim=(0, 40),
        ylim=(0, 60),
    )


def profile(figure: Figure) -> None:
    """A person's profile is a chain of small changes on a shared model."""
    axes = bare(figure, (0, 9), (0, 2.5))
    places = {"bundle\nshared, by sha256": (1.2, 0.8), "link 1\nenroll": (3.8, 0.8)}
    boxes(axes, places | {"link 2\nadapt": (5.8, 0.8), "link 3\nadapt": (7.8, 0.8)}, 1.5)
    for start, end in ((2.0, 3.0), (4.6, 5.0), (6.6, 7.0)):
        arrow(axes, (start, 0.8), (end, 0.8))
    axes.text(7.8, 0.2, "undo drops this one", ha="center", fontsize=8, color=INK)
    boxes(axes, {"ledger\nwhat was learned, and why": (5.8, 2.0)}, 3.0)


def round_(figure: Figure) -> None:
    """A federated round."""
    axes = bare(figure, (0, 10), (-0.4, 3.6))
    boxes(axes, {"server\nadds changes up": (5, 3.0)}, 2.4)
    for i, x in enumerate((1.4, 5.0, 8.6)):
        boxes(axes, {f"device {i + 1}\nclips stay here": (x, 0.3)}, 2.0)
        arrow(axes, (x, 0.7), (5 + 0.7 * (i - 1), 2.6))
    axes.text(2.6, 1.8, "change: clipped,\nnoisy, masked", ha="right", va="center", fontsize=8, color=INK)


def bare(figure: Figure, x: tuple[float, float], y: tuple[float, float]) -> Axes:
    """Gives axes without a frame."""
    axes = figure.add_subplot()
    axes.set(xlim=x, ylim=y)
    axes.set_axis_off()
    return axes


PICTURES = {"life": (life, (9, 1.9)), "threshold": (threshold, (8, 3)), "profile": (profile, (7.5, 2)),
            "round": (round_, (7, 2.8))}  # fmt: skip


def main() -> None:
    """Writes all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, (draw, size) in PICTURES.items():
        with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "axes.spines.top": False,
                             "axes.spines.right": False, "figure.facecolor": GROUND}):  # fmt: skip
            figure = Figure(figsize=size, layout="constrained")
            draw(figure)
            figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
