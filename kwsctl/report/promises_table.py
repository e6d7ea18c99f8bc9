"""Shows what a bench had to hold."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from kwsctl.bench.promise import Promise


def promises_table(promises: Sequence[Promise]) -> Table:
    """Lays out promises, and whether they are kept.

    Args:
        promises: of a bench.

    Returns:
        A table, a line each.
    """
    table = Table(title="what has to hold", title_justify="left", box=None, pad_edge=False)
    for name in ("", "promise", "found"):
        table.add_column(name, overflow="fold")
    for promise in promises:
        table.add_row("yes" if promise.held else "NO", promise.what, promise.found)
    return table
