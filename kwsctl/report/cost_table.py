"""What learning takes, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table

from kwsctl.learning.cost import Cost


def cost_table(found: Cost) -> Group:
    """Lays out what a training step takes, and layer by layer what it moves.

    Args:
        found: what was measured.

    Returns:
        Two tables.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    b = found.batch_size
    table.add_row("A step", f"{b} clips, {found.params_touched:,} of {found.params:,} parameters learn")
    table.add_row(
        "MACs a clip", f"{found.macs_forward // b:,} forward, {found.macs_backward // b:,} backward"
    )
    table.add_row(
        "Activations kept",
        f"{kilobytes(found.activation_bytes)}, {kilobytes(found.activation_bytes / b)} a clip",
    )
    table.add_row("Gradients", kilobytes(found.gradient_bytes))
    table.add_row("Optimizer", kilobytes(found.optimizer_bytes))
    table.add_row("Together", f"{kilobytes(found.training_bytes)} beside the network, at the highest")
    bits = found.bits
    table.add_row(
        f"Moved, w{bits.weights}a{bits.activations}g{bits.gradients}",
        f"{kilobytes(found.moved_static)} with static ranges, {kilobytes(found.moved_dynamic)} with dynamic",
    )
    table.add_row(
        "This process", f"{found.peak_process_bytes / 2**20:.0f} MB at most, with Python and PyTorch"
    )
    if not found.layers:
        return Group(table)
    layers = Table(box=None, pad_edge=False)
    for name in ("layer", "weights", "learns", "MACs", "static, KB", "dynamic, KB", "ratio"):
        layers.add_column(name, justify="left" if name == "layer" else "right")
    for layer in found.layers:
        layers.add_row(
            layer.name,
            f"{layer.weights:,}",
            "yes" if layer.learns else "-",
            f"{layer.macs_forward // b:,}",
            f"{layer.moved.static / 1024:.1f}",
            f"{layer.moved.dynamic / 1024:.1f}",
            f"{layer.moved.dynamic / layer.moved.static:.1f}" if layer.moved.static else "-",
        )
    return Group(table, layers)


def costs_table(found: Mapping[str, Cost], budget: int | None) -> Table:
    """Lays out what an enrolment takes by each method.

    Args:
        found: by method.
        budget: bytes for activations, gradients and optimizer; None for no limit.

    Returns:
        One row for each method.
    """
    table = Table(box=None, pad_edge=False)
    columns = ("method", "learn", "clips", "activations", "gradients", "optimizer", "sum, KB", "MACs", "")
    for name in columns:
        table.add_column(name, justify="left" if name == "method" else "right")
    for name, each in found.items():
        fits = "" if budget is None else "fits" if each.training_bytes <= budget else "too much"
        parts = (each.peak_activation_bytes, each.gradient_bytes, each.optimizer_bytes, each.training_bytes)
        macs = (each.macs_forward + each.macs_backward) // each.batch_size
        table.add_row(
            name,
            f"{each.params_touched:,}",
            str(each.batch_size),
            *(f"{part / 1024:,.1f}" for part in parts),
            f"{macs / 1e6:.1f} M",
            fits,
        )
    table.caption = "learn: parameters; clips: at once; memory in KB; MACs of a clip, forward and backward."
    return table


def kilobytes(count: float) -> str:
    """Writes a number of bytes."""
    return f"{count / 1024:,.1f} KB"
