"""Shows simulated lives as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from kwsctl.report.promises_table import promises_table

COLUMNS = (
    "Method",
    "Heard at 0.5 FA/h (95 %)",
    "Gain, points",
    "Of oracle",
    "Worst",
    "Own threshold: heard, worst, FA/h",
    "Own words",
    "Others say it",
    "Forgotten, points",
    "Rolled back",
    "KB",
    "GMAC",
)


def continual_table(found: Any) -> Group:
    """Makes the tables of `kwsctl bench continual`.

    Args:
        found: a `Continual`.

    Returns:
        Labels and methods per scenario, what had to hold last.
    """
    parts: list[Any] = []
    for labels in found.labels:
        parts.append(_said(labels))
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in COLUMNS:
            table.add_column(name, overflow="fold")
        for row in found.rows:
            if row.scenario == labels.scenario:
                table.add_row(*_cells(row))
        parts.append(table)
    return Group(*parts, promises_table(found.promises))


def _cells(row: Any) -> list[str]:
    share = "-" if row.oracle_share is None else f"{row.oracle_share:.0%}"
    return [
        row.method,
        f"{row.recall[0]:.1%} ({row.recall[1]:.0%} to {row.recall[2]:.0%})",
        f"{row.gain[0]:+.1f} ({row.gain[1]:+.0f} to {row.gain[2]:+.0f})",
        share,
        f"{row.worst:+.1f}",
        f"{row.own_recall:.1%}, {row.own_worst:+.0f}, {row.own_false_alarms:.1f}",
        f"{row.own_words:.1%}",
        f"{row.impostors:.1%}",
        f"{row.forgotten:.2f}",
        f"{row.rolled_back} of {row.lives}" if not row.method.startswith("loop") else str(row.rolled_back),
        f"{row.bytes / 1024:.0f}",
        f"{row.macs / 1e9:.1f}",
    ]


def _said(labels: Any) -> str:
    return (
        f"Scenario {labels.scenario}: {labels.precision:.1%} of {labels.positives} pseudo-positives are "
        f"calls ({labels.any_voice:.1%} the keyword, whoever says it), {labels.yielded:.0%} of "
        f"{labels.calls} calls became one; {labels.negative_precision:.2%} of {labels.negatives} "
        "pseudo-negatives are none."
    )
