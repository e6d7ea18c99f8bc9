"""What `kwsctl export` shows: what was made, and how it compares with the float model."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from kwsctl.export.export import Exported
from kwsctl.export.parity import Compared


def export_table(found: Exported) -> RenderableType:
    """Lays out an export.

    Args:
        found: what was written.

    Returns:
        Facts, then one line for each way of running the model.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Package", f"{found.package}, {found.size_bytes / 1024:,.0f} KB")
    table.add_row("Precision", f"{found.precision}: {found.why}")
    table.add_row("Verified", found.verified)
    table.add_row(
        "Cost", f"{found.macs:,} MACs a window, {found.activation_peak_bytes / 1024:.1f} KB of activations at once"
    )
    contexts = {n: size for n, size in found.files.items() if n.startswith("context.")}
    for name, size in found.files.items():
        if name.startswith(("model", "stream.")) and name not in contexts:
            table.add_row(name, f"{size / 1024:.0f} KB")
    if contexts:
        low, high = (round(f(contexts.values()) / 1024) for f in (min, max))
        parts = ", ".join(name.split(".")[1] for name in contexts)
        table.add_row("Context binaries", f"{low} to {high} KB: {parts}")
    return Group(table, "", parity_table(found))


def parity_table(found: Exported) -> Table:
    """Lays out how each form compares with the float model.

    Args:
        found: what was written.

    Returns:
        A table with one line for each way of running the model.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("run by", "n", "float", "accuracy", "loss, points", "agreement", "detection", "error"):
        table.add_column(name, justify="left" if name == "run by" else "right")
    for form, one in found.parity.items():
        table.add_row(form, str(one.n), *_figures(one))
    return table


def _figures(one: Compared) -> tuple[str, ...]:
    if one.loss is None or one.loss_ci95 is None:
        loss = "-"
    else:
        loss = f"{one.loss:+.2f} ({one.loss_ci95[0]:.1f} to {one.loss_ci95[1]:.1f})"
    return (
        "-" if one.float_accuracy is None else f"{one.float_accuracy:.2%}",
        "-" if one.accuracy is None else f"{one.accuracy:.2%}",
        loss,
        f"{one.agreement:.2%}",
        "-" if one.detection_loss is None else f"{one.detection_loss:+.2f}",
        f"{one.error:.4f}",
    )
