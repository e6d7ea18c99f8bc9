"""Who is heard how well, with the tenth of people that fare worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kwsctl.report import svg
from kwsctl.report.material import Material, title_of
from kwsctl.report.palette import BLUE, ORANGE
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Person by person"
PLACE = 30
FILLED_BY = "kwsctl evaluate --data MANIFEST, with speakers in the manifest"
MOST = 40
"""More bars cannot be read: those who fare worst are drawn."""


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws the evaluation over most people, of these the newest."""
    record = max(material.evaluations, key=lambda one: len(one.facts["per_speaker"]), default=None)
    if record is None or len(record.facts["per_speaker"]) < 2:
        return ()
    return (_block(title_of(record, material), record.facts),)


def _block(heading: str, facts: Mapping[str, Any]) -> Block:
    rates = sorted(facts["per_speaker"].items(), key=lambda item: (item[1]["rate"], item[0]))
    worst = facts["worst_decile"] or {"speakers": [], "rate": None, "rest": None}
    shown = rates[:MOST]
    what = "detected" if facts["accuracy"] is None else "right"
    text = "" if len(rates) == len(shown) else f"The {MOST} of {len(rates)} people who fare worst. "
    if worst["rate"] is not None:
        text += (
            f"The worst tenth, {len(worst['speakers'])} of {len(rates)}: {percent(worst['rate'])}; "
            f"the others: {percent(worst['rest'])}."
        )

    def draw(figure: Figure) -> None:
        _bars(figure, shown, set(worst["speakers"]), what)

    height = 1.1 + 0.2 * len(shown)
    picture = svg.inline(
        "people", f"Clips {what}, person by person", text or "A bar for each person.", draw, height
    )
    body = tuple(
        (name, percent(row["rate"]), str(row["n"]), "worst tenth" if name in worst["speakers"] else "")
        for name, row in rates
    )
    return Block(heading, text, picture, Rows(("Person", f"Clips {what}", "n", "Group"), body, "All people"))


def _bars(figure: Figure, rates: Sequence[tuple[str, Any]], worst: set[str], what: str) -> None:
    axes = figure.add_subplot()
    places = np.arange(len(rates))
    for marked, colour, label in ((True, ORANGE, "worst tenth"), (False, BLUE, "others")):
        rows = [i for i, (name, _) in enumerate(rates) if (name in worst) is marked]
        if rows:
            share = [100 * rates[i][1]["rate"] for i in rows]
            hatch = "///" if marked else None  # not by colour alone
            axes.barh(places[rows], share, 0.72, color=colour, label=label, hatch=hatch, alpha=0.85)
    axes.set_yticks(places, [f"{name[:18]} ({row['n']})" for name, row in rates], fontsize=8.5)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), ylim=(len(rates) - 0.4, -0.6), xlabel=f"clips {what}, in % (clips of the person)")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if worst:
        figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)
