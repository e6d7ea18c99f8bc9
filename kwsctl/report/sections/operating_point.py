"""What the threshold trades, with the point that is in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kwsctl.evaluation import curve
from kwsctl.records import Record
from kwsctl.report import panels, svg
from kwsctl.report.material import Material, title_of
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import hourly, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Misses against false alarms"
PLACE = 10
FILLED_BY = "kwsctl evaluate --data MANIFEST --background AUDIO"
MOST = 4


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws the newest evaluations that have a curve."""
    drawn = newest(material)
    return tuple(
        _block(title_of(record, material), record.facts, f"det{number}")
        for number, record in enumerate(drawn)
    )


def newest(material: Material) -> list[Record]:
    """Gives the newest evaluation with a curve of each model and person on each split, not too many."""
    found: dict[str, Record] = {}
    for record in material.evaluations:
        if "curve" in record.facts:
            found.setdefault(title_of(record, material), record)
    return list(found.values())[:MOST]


def _block(heading: str, facts: Mapping[str, Any], name: str) -> Block:
    found, point = curve.from_facts(facts["curve"]), curve.point_of(facts["detection"])

    def draw(figure: Figure) -> None:
        panels.tradeoff(figure.add_subplot(), found, point)

    told = "No operating point." if point is None else f"Missed {percent(point.frr)} of {point.n} clips"
    if point is not None and point.false_alarms is not None:
        told += f" at {hourly(point.false_alarms.per_hour)} false alarms per hour"
    picture = svg.inline(name, "Detection error tradeoff", f"{told}.", draw)
    return Block(heading, " ".join(facts.get("warnings", ())), picture, _point(facts))


def _point(facts: Mapping[str, Any]) -> Rows:
    rows = []
    if facts["accuracy"] is not None and facts["ci95"] is not None:
        rows.append(("Accuracy", percent(facts["accuracy"]), f"{_span(facts['ci95'])}, n = {facts['n']}"))
    at = facts["detection"]
    if at is not None:
        rows.append(("Missed keywords", percent(at["frr"]), f"{_span(at['frr_ci95'])}, n = {at['n']}"))
        if at["false_alarms"] is not None:
            low, high = at["false_alarms_per_hour_ci95"]
            told = f"{hourly(low)} to {hourly(high)}, {at['false_alarms']} in {at['hours']:.3g} h"
            rows.append(("False alarms per hour", hourly(at["false_alarms_per_hour"]), told))
        wrong = at["wrong_word"]
        if wrong is not None:
            rows.append(("Wrong words", percent(wrong["rate"]), f"{wrong['count']} of {wrong['n']} clips"))
    if passed := facts.get("others_pass"):
        told = f"{_span((passed['low'], passed['high']))}, n = {passed['n']}"
        rows.append(("Others who say it", percent(passed["rate"]), told))
    if facts["eer"] is not None:
        rows.append(("Equal error rate", percent(facts["eer"]["macro"]), "single clips, mean over keywords"))
    return Rows(("Figure", "Value", "95 %, basis"), tuple(rows))


def _span(pair: Any) -> str:
    return f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f} %"
