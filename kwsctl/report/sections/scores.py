"""How scores of keywords and of other words are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kwsctl.evaluation import curve
from kwsctl.report import panels, svg
from kwsctl.report.material import Material, title_of
from kwsctl.report.section import Block
from kwsctl.report.sections.operating_point import newest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Scores"
PLACE = 20
FILLED_BY = "kwsctl evaluate --data MANIFEST"


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws the histograms of the newest evaluations."""
    made = []
    for number, record in enumerate(newest(material)):
        found, point = (
            curve.from_facts(record.facts["curve"]),
            curve.point_of(record.facts["detection"]),
        )

        def draw(figure: Figure, found: object = found, point: object = point) -> None:
            panels.histogram(figure.add_subplot(), found, point)  # type: ignore[arg-type]

        told = (
            f"Scores of {len(found.own_peaks)} clips with the right keyword and of "
            f"{len(found.other_peaks)} with another word."
        )
        picture = svg.inline(f"scores{number}", "Histogram of scores", told, draw)
        made.append(Block(title_of(record, material), picture=picture))
    return tuple(made)
