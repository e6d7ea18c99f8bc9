"""Rounds of a federation: how good, how many bytes, how much privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from kwsctl.report import svg
from kwsctl.report.federate_table import size
from kwsctl.report.material import Federation, Material
from kwsctl.report.palette import BLUE, ORANGE
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Federated rounds"
PLACE = 60
FILLED_BY = "kwsctl federate --data MANIFEST"


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws each federation."""
    return tuple(_block(one, number) for number, one in enumerate(material.federations) if one.lines)


def _block(found: Federation, number: int) -> Block:
    lines = found.lines
    figures = [(line["round"], line["figure"]) for line in lines if line["figure"] is not None]
    up, down = (sum(line[name] for line in lines) for name in ("bytes_up", "bytes_down"))
    spent = [line["epsilon"] for line in lines if line["epsilon"] is not None]
    last = f"{percent(figures[-1][1])} on held-out people after round {figures[-1][0]}, " if figures else ""
    told = f"{len(lines)} rounds: {last}{size(up)} up and {size(down)} down"
    told += f", epsilon {_epsilon(found, spent):.3g}." if spent else ", without noise: no epsilon."

    def draw(figure: Figure) -> None:
        _rounds(figure, lines, figures, bool(spent))

    picture = svg.inline(f"rounds{number}", f"Rounds of {found.name}", told, draw, 5.6 if spent else 4.2)
    return Block(found.name, told, picture, _table(found, lines, up, down, spent))


def _epsilon(found: Federation, spent: Sequence[float]) -> float:
    """Gives the tight count of the command's end, else the quick bound of the last round."""
    tight = found.facts.get("epsilon")
    return float(spent[-1] if tight is None else tight)


def _rounds(
    figure: Figure, lines: Sequence[Mapping[str, Any]], figures: Sequence[tuple[int, float]], private: bool
) -> None:
    panels = figure.subplots(3 if private else 2, 1, sharex=True)
    rounds = [line["round"] for line in lines]
    panels[0].plot([r for r, _ in figures], [100 * f for _, f in figures], "o-", color=BLUE, ms=4, lw=1.5)
    panels[0].set(ylabel="held out, %")
    for name, colour, style in (("bytes_up", BLUE, "-"), ("bytes_down", ORANGE, "--")):
        sent = [total / 1000 for total in accumulate(line[name] for line in lines)]
        panels[1].plot(rounds, sent, style, color=colour, lw=1.5, label=name.removeprefix("bytes_"))
    panels[1].set(ylabel="sent so far, KB", ylim=(0, None))
    panels[1].legend(fontsize=8.5)
    if private:
        panels[2].plot(rounds, [line["epsilon"] for line in lines], color=BLUE, lw=1.5)
        panels[2].set(ylabel="epsilon", ylim=(0, None))
    panels[-1].set(xlabel="round")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    for axes in panels:
        axes.grid()


def _table(
    found: Federation, lines: Sequence[Mapping[str, Any]], up: int, down: int, spent: Sequence[float]
) -> Rows:
    asked = max(1, sum(line["asked"] for line in lines))
    rows = [
        ("Sent by all clients", size(up), f"{size(up / asked)} by a client in a round"),
        ("Sent to all clients", size(down), f"{size(down / asked)} to a client in a round"),
    ]
    if held_out := found.facts.get("held_out"):
        low, high = held_out["ci95"]
        told = f"{100 * low:.1f} to {100 * high:.1f} %, n = {held_out['n']}"
        rows.insert(0, ("Held-out people", percent(held_out["figure"]), told))
    if spent:
        tight = found.facts.get("epsilon") is not None
        told = f"at delta {found.facts['delta']:.1g}" if tight else "quick bound of the last round"
        rows.append(("Epsilon, for each client as a whole", f"{_epsilon(found, spent):.3g}", told))
    refused = sum(len(line["refused"]) + len(line["left_out"]) for line in lines)
    dropped = sum(len(line["dropped"]) for line in lines)
    rows.append(("Changes refused or left out", str(refused), f"{dropped} clients never answered"))
    return Rows(("Figure", "Value", "Basis"), tuple(rows))
