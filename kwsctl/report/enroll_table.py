"""What `kwsctl enroll` shows: what was learned from, and what to expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

POLICIES = {"biased": "others may say it, too", "only": "others are refused"}
RATES = {
    "detection_rate": "calls heard",
    "wrong_word_far": "other words taken for it",
    "impostor_far": "others taken for {user}",
}


def enroll_table(user: str, keyword: str, policy: str, facts: Mapping[str, Any]) -> Table:
    """Lays out an enrolment.

    Args:
        user: who was enrolled.
        keyword: what was enrolled.
        policy: `biased` or `only`.
        facts: the fields of `kwsctl.cli.enroll.EnrollResult`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Keyword", f"{keyword!r} by {user} ({policy}: {POLICIES[policy]})")
    n_rejected = len(facts["clips_rejected"])
    table.add_row("Clips", f"{len(facts['clips_used'])} used, {n_rejected} not")
    table.add_row("Method", f"{facts['method']}, {facts['why']}")
    for name, words in RATES.items():
        if name in facts["expected"]:
            table.add_row(f"Expected {words.format(user=user)}", _rate(name, facts["expected"][name]))
    table.add_row("Threshold", f"{facts['threshold']:.4f}")
    table.add_row("Profile", f"{facts['profile']}, {facts['bytes'] / 1024:.1f} KB, {facts['seconds']:.1f} s")
    return table


def _rate(name: str, found: Mapping[str, Any]) -> str:
    if name == "detection_rate":
        tried = f"from {found['n']} clips, each left out in turn" if found["n"] else "a guess: one clip only"
        return f"{found['rate']:.0%} ({found['low']:.0%} to {found['high']:.0%} of the next 10; {tried})"
    return f"{found['rate']:.2%} ({found['low']:.2%} to {found['high']:.2%}, n = {found['n']} stored clips)"
