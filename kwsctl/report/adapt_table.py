"""Shows what became of a stream."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def adapt_table(found: Any) -> Table:
    """Makes the table of `kwsctl adapt`.

    Args:
        found: an `Adapted`.

    Returns:
        One row a fact.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("Keyword", f"{found.keyword!r} by {found.user}")
    table.add_row("Heard", f"{found.seconds:.0f} s in {found.windows} windows")
    table.add_row("Taken for calls", f"{found.positives} segments")
    table.add_row("Taken for other words", f"{found.negatives} segments")
    table.add_row("Left alone", f"{found.abstained} segments, on which the votes did not agree")
    rolled = sum(found.rolled_back.values())
    table.add_row("Updates", f"{found.updates} by {found.method}, {rolled} rolled back")
    for reason, count in found.rolled_back.items():
        table.add_row("", f"{count} because {reason}")
    if found.canary_before and found.canary_after:
        table.add_row("Calls expected", _change(found, "expected"))
        table.add_row("Other words taken for it", _change(found, "false_alarms"))
        table.add_row("Global task", _change(found, "global_task"))
    table.add_row("Threshold", f"{found.threshold:.4f}")
    table.add_row("Ledger", str(found.ledger))
    return table


def _change(found: Any, name: str) -> str:
    return f"{found.canary_before[name]:.2%} -> {found.canary_after[name]:.2%} on the canary"
