"""Draws with matplotlib into an SVG that stands in a page: colours follow the page, text stays text."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from kwsctl.report.figures import STYLE
from kwsctl.report.palette import BLUE, FAINT, GREY, GROUND, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIABLES = {
    GROUND: "--ground",
    INK: "--ink",
    GREY: "--grey",
    FAINT: "--faint",
    BLUE: "--blue",
    ORANGE: "--orange",
}
"""Colours of the palette, as the page names them: it has a light and a dark value for each."""

WIDTH_IN = 4.0
"""Of a picture, in inches: on a phone its text has about the size of the page's."""


def inline(name: str, title: str, told: str, draw: Callable[[Figure], None], height_in: float = 3.2) -> str:
    """Draws one picture.

    Args:
        name: unlike that of any other picture on the page; becomes part of every id.
        title: what it shows, for those who do not see it.
        told: what one would see, in a sentence or two.
        draw: draws into the empty figure.
        height_in: its height, in inches.

    Returns:
        An `svg` element.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": name, "savefig.facecolor": "none",
             "axes.facecolor": "none", "figure.facecolor": "none", "font.size": 9.0,
             "axes.labelsize": 9.0, "axes.titlesize": 10.0}  # fmt: skip
    drawn = io.StringIO()
    with mpl.rc_context(cast("Any", style)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # names may be in any script
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        draw(figure)
        unnamed: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", metadata=unnamed)
    return _for_page(drawn.getvalue(), name, title, told)


def _for_page(text: str, name: str, title: str, told: str) -> str:
    """Takes the header of a file away, makes ids unique, and lets the page choose the colours."""
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    head, _, rest = text.partition(">")
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    return (
        f'{head} {labels}>\n<title id="{name}-title">{html.escape(title)}</title>\n'
        f'<desc id="{name}-desc">{html.escape(told)}</desc>{rest}'
    )
