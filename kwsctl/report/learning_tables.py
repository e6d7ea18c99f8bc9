"""What learning costs, as tables."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from kwsctl.bench.invertible import Invertible
from kwsctl.bench.quantized_training import QuantizedTraining
from kwsctl.bench.repeats import Accuracy


def invertible_table(found: Invertible) -> Group:
    """Lays out what networks keep, take and reach.

    Args:
        found: what the bench measured.

    Returns:
        The table of networks and, where it was measured, that of depths.
    """
    table = _table(
        f"Training per clip, {found.words} words, {found.epochs} epochs",
        ("network", "activations", "params", "MACs", "back", "KB", "time", "error", "accuracy, %"),
    )
    for row in found.rows:
        table.add_row(
            row.arch,
            row.kind,
            f"{row.params:,}",
            f"{row.macs / 1e6:.2f}",
            f"{row.macs_backward / 1e6:.2f}",
            f"{row.activation_bytes / 1024:.1f}",
            f"{row.seconds:.2f}",
            f"{row.gradient_error:.0e}" if row.kind != "ordinary" else "-",
            percent(row.accuracy),
        )
    table.caption = (
        "MACs, back: millions, forward and backward; KB: activations kept for the backward pass, by the "
        f"ordinary network {found.memory_ratio:.1f} times as much as by the one that rebuilds; time: of a "
        "step, where everything is kept 1; error: of gradients beside that network's; accuracy: mean +- sd "
        "over seeds (95 % interval over people); networks with the same gradients are trained once."
    )
    if not found.depths:
        return Group(table)
    depths = _table(
        f"Memory by depth, batch of {found.batch_size}",
        ("blocks", "activations", "KB, a clip", "MB, process"),
    )
    for point in found.depths:
        depths.add_row(
            str(point.blocks),
            point.kind,
            f"{point.activation_bytes / 1024:.1f}",
            f"{point.process_bytes / 2**20:.0f}",
        )
    return Group(table, depths)


def quantized_training_table(found: QuantizedTraining) -> Group:
    """Lays out what range estimators cost and give.

    Args:
        found: what the bench measured.

    Returns:
        The tables of trainings, of layers, and of learning on a device.
    """
    table = _table(
        f"{found.arch}, {found.words} words, {found.epochs} epochs, batch of {found.batch_size}",
        ("precision", "ranges", "accuracy, %", "less fp32", "MB a step", "KB, one clip"),
    )
    for row in found.rows:
        table.add_row(
            row.precision,
            row.estimator or "-",
            percent(row.accuracy),
            f"{row.difference * 100:+.2f}" if row.estimator else "-",
            f"{row.moved_bytes / 2**20:.2f}",
            f"{row.moved_at_one / 1024:.0f}",
        )
    table.caption = (
        "accuracy: mean +- sd over seeds (95 % interval over people); MB a step: moved between memory and "
        "arithmetic by convolutions and linear layers, forward and backward, as counted from their shapes."
    )
    layers = _table(
        "Bytes moved by a forward pass, w8a8", ("layer", "", "static, KB", "dynamic, KB", "ratio", "one clip")
    )
    for layer in found.layers:
        layers.add_row(
            layer.name,
            "",
            f"{layer.static / 1024:.0f}",
            f"{layer.dynamic / 1024:.0f}",
            f"{layer.ratio:.1f}",
            f"{layer.ratio_at_one:.1f}",
        )
    device = _table(
        f"Learning on a device, w8a8g8, {found.device_clips_tested} clips tested",
        (
            "batch",
            "ranges",
            "weights",
            "accuracy, %",
            "gradients clipped, %",
            "activations, %",
            "range off by",
        ),
    )
    for step in found.device:
        full = step.estimator in ("", "before")
        device.add_row(
            str(step.batch_size or "-"),
            step.estimator or "fp32",
            step.weights + (f", rate x {step.rate:g}" if step.rate != 1 else ""),
            percent(step.accuracy),
            "-" if full else f"{step.gradients_clipped * 100:.2f}",
            "-" if full else f"{step.activations_clipped * 100:.3f}",
            "-" if full else f"{step.range_lag:.2f}",
        )
    device.caption = (
        "weights: folded learns no normalization; scaled and unscaled do neither, and store weights as "
        "integers, with and without scaled gradients."
    )
    return Group(table, layers, device) if found.device else Group(table, layers)


def percent(accuracy: Accuracy | None) -> str:
    """Writes an accuracy with its spread over seeds and its interval over people."""
    if accuracy is None:
        return "-"
    low, high = accuracy.low * 100, accuracy.high * 100
    return f"{accuracy.mean * 100:.1f} +- {accuracy.sd * 100:.1f} ({low:.0f}-{high:.0f})"


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < 2 else "right")
    return table
