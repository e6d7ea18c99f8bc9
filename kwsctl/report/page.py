"""Lays out the page: one HTML file with everything in it, no network, no script."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from kwsctl import __version__, registry
from kwsctl.progress import Progress, silent
from kwsctl.report.material import Material
from kwsctl.report.section import Section
from kwsctl.storage import write_text

SECTIONS = "kwsctl.report.sections"


@dataclass(frozen=True)
class Page:
    """What was written.

    Attributes:
        page: the file.
        title: what it is about.
        sections: headings that there is something to show of.
        missing: the others, with the command that would fill each.
        pictures: how many were drawn.
        set_aside: what could not be read, and why.
        bytes: size of the file.
    """

    page: Path
    title: str
    sections: tuple[str, ...]
    missing: dict[str, str]
    pictures: int
    set_aside: tuple[str, ...]
    bytes: int


def write(material: Material, out: Path, progress: Progress = silent) -> Page:
    """Writes the page, replacing an older one in one step.

    Args:
        material: what to show.
        out: the HTML file.
        progress: counts sections.

    Returns:
        What was written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    files = [cast(Section, registry.load(SECTIONS, name)) for name in registry.names(SECTIONS)]
    files.sort(key=lambda one: one.PLACE)
    filled = []
    for number, one in enumerate(files, start=1):
        if blocks := one.blocks(material):
            filled.append((one.TITLE, blocks))
        progress(number, len(files), section=one.TITLE)
    missing = {one.TITLE: one.FILLED_BY for one in files if one.TITLE not in dict(filled)}
    environment = Environment(
        loader=PackageLoader("kwsctl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawn"] = Markup  # svg.inline escapes what it is given
    environment.filters["anchor"] = lambda title: title.lower().replace(" ", "-")
    text = environment.get_template("report.html.j2").render(
        title=material.title,
        sections=filled,
        missing=missing,
        set_aside=material.set_aside,
        made=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
    )
    write_text(out, text)
    return Page(
        page=out,
        title=material.title,
        sections=tuple(title for title, _ in filled),
        missing=missing,
        pictures=sum(bool(block.picture) for _, blocks in filled for block in blocks),
        set_aside=material.set_aside,
        bytes=out.stat().st_size,
    )
