"""What `kwsctl bench federated` shows, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from kwsctl.bench.federated import FederatedBench
from kwsctl.bench.federated_trials import Row
from kwsctl.report.federate_table import size
from kwsctl.report.promises_table import promises_table

LEFT_OUT = {"curve", "cpu_s", "attack", "aggregator"}


def federated_tables(found: FederatedBench) -> RenderableType:
    """Lays out all tables of the bench.

    Args:
        found: what was measured.

    Returns:
        One table for each part, references first, what had to hold last.
    """
    title = (
        f"{found.speakers} people, {found.held_out} of them held out, {found.clips:,} clips, "
        f"{found.words} words; "
        f"target {found.target:.2%}"
    )
    parts: list[RenderableType] = [_rows(title, found.references)]
    for name, rows in found.tables.items():
        parts.append(_attacks(rows) if name == "attacks" else _rows(name, rows))
    return Group(*parts, promises_table(found.promises))


def _rows(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for name in ("accuracy, % (95 %)", "worst tenth, %", "rounds to target", "up", "down", "bytes to target"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        both = row.bytes_up + row.bytes_down
        table.add_row(
            row.name,
            percent(row.accuracy),
            f"{row.worst * 100:.1f}",
            str(row.rounds_to_target or "-"),
            size(row.bytes_up) if row.bytes_up else "-",
            size(row.bytes_down) if row.bytes_down else "-",
            size(both * row.rounds_to_target) if row.rounds_to_target else "-",
            _facts(row),
        )
    return table


def _facts(row: Row) -> str:
    told = []
    for name, value in row.facts.items():
        if name in LEFT_OUT or value is None:
            continue
        if name == "ahead":
            ahead, low, high = (100 * part for part in value)
            value = f"of the mean by {ahead:+.2f} points ({low:+.2f} to {high:+.2f})"
        if isinstance(value, dict):
            value = ", ".join(f"{key} {share:.0%}" for key, share in value.items()) or "-"
        told.append(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}")
    return "; ".join(told)


def _attacks(rows: Sequence[Row]) -> Table:
    """Lays attacks out against aggregators."""
    table = Table(title="attacks: accuracy, %", title_justify="left", box=None, pad_edge=False)
    attacks = list(dict.fromkeys(row.facts["attack"] for row in rows))
    table.add_column("")
    for attack in attacks:
        table.add_column(attack, justify="right")
    cells = {(row.facts["attack"], row.facts["aggregator"]): row for row in rows}
    for name in dict.fromkeys(row.facts["aggregator"] for row in rows):
        table.add_row(name, *(_cell(cells.get((attack, name))) for attack in attacks))
    table.caption = (
        "backdoor: in brackets, how often the trigger turns another word into the attacker's; "
        "watched: attackers "
        "and honest clients barred, in all folds; no attack: in brackets, honest clients of which "
        "little was taken."
    )
    return table


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    text = f"{row.accuracy[0] * 100:.1f}"
    facts = row.facts
    if "backdoor" in facts:
        text += f" ({facts['backdoor']:.0%})"
    if "barred_liars" in facts:
        text += f" ({facts['barred_liars']} of {facts['liars']}, {facts['barred_honest']} honest)"
    elif facts["attack"] == "none" and facts.get("seldom"):
        text += f" ({facts['seldom']})"
    return text


def percent(rate: tuple[float, float, float]) -> str:
    """Writes a share with its interval, in percent."""
    return f"{rate[0] * 100:.2f} ({rate[1] * 100:.1f} to {rate[2] * 100:.1f})"
