"""What `kwsctl demo` shows at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

MARKS = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]-[/]"}


def demo_table(facts: Mapping[str, Any]) -> Group:
    """Lays out the claims, and what was measured.

    Args:
        facts: `claims`, `seconds` of each step, `total_s` and `page`.

    Returns:
        Two tables.
    """
    claims = Table(box=None, pad_edge=False)
    for name in ("Claim", "Met", "Measured just now"):
        claims.add_column(name, overflow="fold")
    for one in facts["claims"]:
        claims.add_row(escape(one.claim), MARKS[one.met], escape(one.measured))
    steps = Table(box=None, pad_edge=False, show_header=False)
    for name, seconds in facts["seconds"].items():
        steps.add_row(name, f"{seconds:.0f} s")
    steps.add_row("[bold]Together[/]", f"[bold]{facts['total_s'] / 60:.1f} min[/]")
    steps.add_row("[bold]Page[/]", str(facts["page"]))
    return Group(claims, "", steps)
