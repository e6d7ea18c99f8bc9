"""What `kwsctl federate` shows when it is done."""

from __future__ import annotations

from rich.table import Table

from kwsctl.federated.federate import FederateResult


def federate_table(result: FederateResult) -> Table:
    """Lays out what a federation made.

    Args:
        result: of `kwsctl.federated.federate.federate`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Bundle", str(result.bundle))
    table.add_row(
        "Federation", f"{result.clients} clients, {result.rounds} rounds, {result.shared:,} numbers shared"
    )
    found = result.held_out
    if found is not None:
        low, high = found.ci95
        said = f"{found.figure:.2%} (95 %: {low:.2%} to {high:.2%}), n = {found.n}"
        table.add_row("Held-out speakers", said)
    if found is not None and found.worst_decile is not None:
        table.add_row("Worst tenth of them", f"{found.worst_decile:.2%}")
    if result.own is not None:
        own = result.own
        table.add_row(
            "Clients' own clips",
            f"{own.shared:.2%} shared, {own.personal:.2%} with personal layers (worst client "
            f"{own.worst_shared:.1%}, {own.worst_personal:.1%}); n = {own.n}, {own.clients} clients",
        )
    per_client = max(1, sum(line["asked"] for line in result.per_round))
    table.add_row(
        "Sent",
        f"up {size(result.bytes_up)}, down {size(result.bytes_down)}; "
        f"a client's part of a round: {size(result.bytes_up / per_client)} up, "
        f"{size(result.bytes_down / per_client)} down",
    )
    if result.epsilon is not None:
        table.add_row(
            "Privacy", f"epsilon {result.epsilon:.2f} at delta {result.delta:.1g}, for each client as a whole"
        )
    if result.refused:
        worst = sorted(result.refused.items(), key=lambda row: -row[1])[:5]
        table.add_row("Refused", ", ".join(f"{name} ({count} rounds)" for name, count in worst))
    if result.barred:
        table.add_row("Not asked any more", ", ".join(result.barred))
    if result.seldom_used:
        few = list(result.seldom_used.items())[:6]
        table.add_row("Seldom used", ", ".join(f"{name} {share:.0%}" for name, share in few))
    table.add_row("Log", str(result.log))
    return table


def size(n_bytes: float) -> str:
    """Writes a number of bytes in words."""
    for unit in ("B", "KB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
