"""What a part of the page is made of. A file in `sections/` gives blocks; the page lays them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kwsctl.report.material import Material


@dataclass(frozen=True)
class Rows:
    """A table.

    Attributes:
        head: names of the columns.
        body: rows of as many cells.
        caption: what it is about.
    """

    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Block:
    """A picture, a table, or both, with what is to be said of them.

    Attributes:
        heading: what it is of; empty if the section has only one.
        text: sentences.
        picture: inline SVG made by `svg.inline`; empty without one.
        rows: a table.
    """

    heading: str = ""
    text: str = ""
    picture: str = ""
    rows: Rows | None = None


class Section(Protocol):
    """What a file in `sections/` exposes.

    Attributes:
        TITLE: its heading.
        PLACE: its place on the page; small numbers come first.
        FILLED_BY: the command that would fill it.
    """

    TITLE: str
    PLACE: int
    FILLED_BY: str

    def blocks(self, material: Material) -> tuple[Block, ...]:
        """Shows what there is.

        Args:
            material: everything that was found.

        Returns:
            Nothing if there is nothing to show.
        """
