"""What `kwsctl report` shows when it is done."""

from __future__ import annotations

from rich.table import Table

from kwsctl.report.page import Page


def page_table(made: Page) -> Table:
    """Lays out what is on a page, and what is not.

    Args:
        made: of `kwsctl.report.page.write`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Page", str(made.page))
    table.add_row("Shows", ", ".join(made.sections) or "nothing yet")
    for title, command in made.missing.items():
        table.add_row("Not yet", f"{title}: {command}")
    return table
