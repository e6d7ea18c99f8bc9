"""What `kwsctl` alone shows."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from kwsctl.standing import Standing

LIFE = "train > enroll > adapt > federate > export > listen"


def standing_table(found: Standing) -> Group:
    """Lays out where one is.

    Args:
        found: of `kwsctl.standing.standing`.

    Returns:
        The life cycle, a table, and what makes sense next.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Home", escape(str(found.home)))
    table.add_row("Model", "shipped with kwsctl" if found.model is None else escape(found.model.name))
    people = ", ".join(f"{name} ({links})" for name, links in found.users[:6])
    more = f" and {len(found.users) - 6} more" if len(found.users) > 6 else ""
    table.add_row("Users", escape(people + more) or "nobody yet")
    runs = ", ".join(f"{run.command} {run.day}" for run in found.runs)
    table.add_row("Last runs", escape(runs) or "none yet")
    if found.interrupted:
        table.add_row("Stopped", escape(", ".join(found.interrupted)))
    table.add_row("Next", f"[cyan]{escape(found.next)}[/]")
    table.add_row("", escape(found.why))
    table.add_row("Help", "kwsctl --help, kwsctl doctor")
    return Group(f"[dim]{escape(LIFE)}[/]", "", table)
