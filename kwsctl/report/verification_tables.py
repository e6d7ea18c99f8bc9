"""Tables of verification: one federation, one answer, and what ways to train it are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kwsctl.report.federate_table import size

if TYPE_CHECKING:
    from kwsctl.federated.federate_voices import FederatedVoices
    from kwsctl.verification.thresholds import Figures, Share


def percent(share: Share | None) -> str:
    """Writes a mean with its interval."""
    if share is None:
        return ""
    return f"{share.mean:.1%} ({share.low:.1%} to {share.high:.1%})"


def told(found: Figures) -> str:
    """Writes figures in one line."""
    rates = ", ".join(f"{share.mean:.1%} at {float(tpr):.0%}" for tpr, share in found.fpr.items())
    return f"others let in: {rates} of the own; equal errors {percent(found.eer)}"


def federated_voices_table(result: FederatedVoices) -> Table:
    """Lays out what a federation of users made.

    Args:
        result: of `kwsctl.federated.federate_voices.federate_voices`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Bundle", str(result.bundle))
    table.add_row(
        "Federation",
        f"{result.users} users, {result.rounds} rounds of {result.method}, {result.shared:,} numbers shared",
    )
    table.add_row("Clips learned from", told(result.training))
    table.add_row("Further clips", told(result.held_out))
    table.add_row("Strangers", told(result.unseen))
    low, middle, high = result.thresholds
    table.add_row("Thresholds", f"{middle:.3f} ({low:.3f} to {high:.3f} over users)")
    table.add_row("Sent", f"up {size(result.bytes_up)}, down {size(result.bytes_down)}")
    if result.epsilon is not None:
        table.add_row("Privacy", f"epsilon {result.epsilon:.2f} at delta {result.delta:.1g}, for each user")
    return table


def verify_table(facts: Mapping[str, Any]) -> Table:
    """Lays out one answer of `kwsctl verify`.

    Args:
        facts: the fields of its result.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Answer", f"this is {facts['user']}" if facts["accepted"] else f"not {facts['user']}")
    clips = f"mean of {len(facts['scores'])} clips" if len(facts["scores"]) > 1 else "1 clip"
    table.add_row("Score", f"{facts['score']:.3f} ({clips}), threshold {facts['threshold']:.3f}")
    return table


def enrolled_voice_table(facts: Mapping[str, Any]) -> Table:
    """Lays out what `kwsctl verify --enroll` kept.

    Args:
        facts: the fields of its result.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Voice", f"of {facts['user']}, from {facts['clips_used']} clips")
    table.add_row("Threshold", f"{facts['threshold']:.3f}, {_expected(facts['clips_used'], facts['tpr'])}")
    if facts["strangers"] is not None:
        table.add_row("Strangers let in", f"{facts['strangers']:.1%} of {facts['n_strangers']} stored voices")
    table.add_row("Profile", str(facts["profile"]))
    return table


def _expected(clips: int, tpr: float) -> str:
    """Tells how many own clips a threshold lets in: n of n + 1 pass the lowest of n, whatever was asked."""
    if clips * (1 - tpr) >= 1:
        return f"for {tpr:.0%} of own clips"
    return f"below all of these: expect {clips / (clips + 1):.0%} of further ones, or give more clips"


def bench_verification_tables(result: Any) -> RenderableType:
    """Lays out what ways to train verification are worth.

    Args:
        result: of `kwsctl.bench.verification.bench_verification`.

    Returns:
        One table after the other.
    """
    parts: list[RenderableType] = []
    for name, rows in result.tables.items():
        table = Table(box=None, pad_edge=False, title=result.titles.get(name, name), title_justify="left")
        for column in rows[0]:
            table.add_column(column)
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        parts += [table, Text("")]
    return Group(*parts)
