"""How many people are heard before and after they enrol, each of them drawn."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from kwsctl.report import svg
from kwsctl.report.material import Material
from kwsctl.report.palette import BLUE, GREY, ORANGE
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Enrolment of many people"
PLACE = 45
FILLED_BY = "kwsctl bench few-shot --data MANIFEST"
BEFORE = "global"
WORST_SHARE = 0.1
TEXT = (
    "Calls heard where 1 % of wrong words pass, by people whom the global model never heard; clips that were "
    "enrolled are not in the test. Outliers are the fifth heard worst; intervals of 95 % over people."
)
HEAD = ("Method", "Clips", "Outliers", "Others", "Everybody", "Largest loss", "Others who say it")


def blocks(material: Material) -> tuple[Block, ...]:
    """Shows the newest comparison over people: everybody's rates in a picture, every method in a table."""
    compared = material.of("few-shot")
    if not compared:
        return ()
    facts = compared[0].facts
    method, shots = _best(facts)
    before, after = _by_person(facts, BEFORE, 0), _by_person(facts, method, shots)
    people = sorted(before.keys() & after.keys(), key=lambda who: before[who])
    n_worst = max(1, round(WORST_SHARE * len(people)))
    told = (
        f"{len(people)} people, {shots} clips by {method}: {_mean(before, people)} heard before, "
        f"{_mean(after, people)} after; of the {n_worst} heard worst "
        f"{_mean(before, people[:n_worst])} before, {_mean(after, people[:n_worst])} after."
    )
    picture = svg.inline(
        "many-people",
        "Calls heard of each person before and after enrolment",
        told,
        lambda figure: _draw(figure, people, before, after, n_worst),
        1.4 + 0.17 * len(people),
    )
    body = tuple(_row(row) for row in facts["rows"])
    return (Block("", f"{TEXT} {told}", picture, Rows(HEAD, body, "Each method and number of clips")),)


def _best(facts: Mapping[str, Any]) -> tuple[str, int]:
    """Picks the method and number of clips by which everybody is heard best."""
    enrolled = [row for row in facts["rows"] if row["shots"]]
    best = max(enrolled, key=lambda row: row["everybody"][0])
    return best["method"], best["shots"]


def _by_person(facts: Mapping[str, Any], method: str, shots: int) -> dict[str, float]:
    """Gives each person's rate: the mean over their keywords that the best method was tried on."""
    best = _best(facts)
    compared = {(c["speaker"], c["keyword"]) for c in facts["cases"] if (c["method"], c["shots"]) == best}
    rates: dict[str, list[float]] = {}
    for case in facts["cases"]:
        if (case["method"], case["shots"]) == (method, shots) and (
            case["speaker"],
            case["keyword"],
        ) in compared:
            rates.setdefault(case["speaker"], []).append(case["detected"])
    return {who: mean(own) for who, own in rates.items()}


def _mean(rates: Mapping[str, float], people: list[str]) -> str:
    return percent(mean(rates[who] for who in people))


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    rates = [f"{percent(rate)} ({100 * low:.0f} to {100 * high:.0f} %)"
             for rate, low, high in (row["outliers"], row["others"], row["everybody"])]  # fmt: skip
    loss = f"{-100 * min(0.0, row['worst_change']):.0f} points" if row["shots"] else "-"
    name = "before" if row["method"] == BEFORE else row["method"]
    return name, str(row["shots"] or "-"), *rates, loss, percent(row["impostors"])


def _draw(
    figure: Figure, people: list[str], before: Mapping[str, float], after: Mapping[str, float], n_worst: int
) -> None:
    axes = figure.add_subplot()
    places = np.arange(len(people))
    old, new = (100 * np.array([rates[who] for who in people]) for rates in (before, after))
    axes.axhspan(-0.6, n_worst - 0.5, color=ORANGE, alpha=0.18, lw=0, label="worst tenth before")
    axes.hlines(places, old, new, color=GREY, lw=1)
    axes.plot(old, places, "s", color=GREY, ms=4.5, label="before", clip_on=False)
    axes.plot(new, places, "o", color=BLUE, ms=5, label="after", clip_on=False)
    axes.set_yticks(places, [who[:12] for who in people], fontsize=7.5)
    axes.set(xlim=(-2, 102), ylim=(len(people) - 0.4, -0.6), xlabel="calls heard, in %")
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
