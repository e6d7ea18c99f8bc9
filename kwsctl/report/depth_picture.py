"""Draws how much memory training takes by the number of blocks of a network."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from kwsctl.bench.invertible import Invertible
from kwsctl.report.palette import BLUE, GROUND, INK, ORANGE
from kwsctl.storage import replacing

COLOURS = {"kept": ORANGE, "checkpointed": INK, "rebuilt": BLUE}


def draw(found: Invertible, path: Path) -> None:
    """Draws activations kept and the growth of the process, one line for each way to train.

    Args:
        found: what the bench measured.
        path: PNG or SVG.
    """
    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    kept, process = figure.subplots(1, 2)
    for kind, colour in COLOURS.items():
        points = [p for p in found.depths if p.kind == kind]
        blocks = [p.blocks for p in points]
        kept.plot(blocks, [p.activation_bytes / 1024 for p in points], "o-", color=colour, label=kind)
        process.plot(blocks, [p.process_bytes / 2**20 for p in points], "o-", color=colour, label=kind)
    kept.set_title("activations kept, KB a clip", loc="left")
    process.set_title(f"growth of the process, MB, batch of {found.batch_size}", loc="left")
    for axes in (kept, process):
        axes.set_xlabel("blocks")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    kept.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=130, facecolor=GROUND)
