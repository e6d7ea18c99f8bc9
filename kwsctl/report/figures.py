"""Draws an evaluation into one picture: misses against false alarms, scores, confusions.

On an opaque light ground, so that the picture reads the same on a light and on a dark page.
matplotlib's global state stays as it was.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, cast

from kwsctl import storage
from kwsctl.errors import InputError
from kwsctl.evaluation.results import Evaluation
from kwsctl.report import panels
from kwsctl.report.palette import FAINT, GREY, GROUND, INK
from kwsctl.report.wording import percent

SUFFIXES = (".png", ".svg")

STYLE = {
    "axes.edgecolor": GREY,
    "axes.facecolor": GROUND,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": GROUND,
    "font.size": 9.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.facecolor": GROUND,
    "svg.hashsalt": "kwsctl",  # equal figures give equal files
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def check_suffix(path: Path) -> None:
    """Refuses a picture format that cannot be drawn, before there is anything to draw.

    Args:
        path: the picture to be.

    Raises:
        InputError: it ends neither in .png nor in .svg.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} has no known picture suffix.", f"Use one of {', '.join(SUFFIXES)}.")


def draw(found: Evaluation, path: Path) -> None:
    """Draws the figures of an evaluation, replacing the picture in one step.

    Args:
        found: the evaluation.
        path: ends in .png or .svg.

    Raises:
        InputError: another suffix.
    """
    check_suffix(path)
    import matplotlib as mpl  # half a second to import
    from matplotlib.figure import Figure

    with mpl.rc_context(cast("Any", STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # labels may be in any script
        if found.confusion is None:
            figure = Figure(figsize=(11.5, 4.8), layout="constrained")
            left, right = figure.subplots(1, 2)
        else:
            figure = Figure(figsize=(14.5, 8.4), layout="constrained")
            grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.5))
            left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
            panels.confusion(figure.add_subplot(grid[:, 1]), found.confusion)
        panels.tradeoff(left, found.tradeoff, found.detection)
        panels.histogram(right, found.tradeoff, found.detection)
        figure.suptitle(f"{_title(found)}\n", x=0.008, ha="left", fontsize=10.5)  # the line leaves room
        kind = path.suffix.lower().lstrip(".")
        unchanging: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        with storage.replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=150, metadata=unchanging)


def _title(found: Evaluation) -> str:
    parts = [f"{found.arch} {found.bundle_sha256[:12]}, split {found.split}: {len(found.scored)} clips"]
    if found.n_speakers:
        parts.append(f"{found.n_speakers} speakers")
    if found.accuracy is not None:
        parts.append(f"accuracy {percent(found.accuracy)}")
    elif found.detection is not None:
        parts.append(f"missed {percent(found.detection.frr)} at the operating point")
    if found.eer is not None:
        parts.append(f"equal error rate {percent(found.eer.macro)}")
    return ", ".join(parts)
