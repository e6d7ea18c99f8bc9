"""What `kwsctl export` shows: what was made, and how it compares with the float model."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from kwsctl.bench.export import ExportBench, ExportRow
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
        "Cost",
        f"{found.macs:,} MACs a window, {found.activation_peak_bytes / 1024:.1f} KB of activations at once",
    )
    if found.on_device is not None:
        told = found.on_device
        took = "no time told" if told.latency_us is None else f"{told.latency_us:,.0f} us a window"
        table.add_row("On a device", f"{told.device}: {took} ({told.url})")
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


def bench_table(found: ExportBench) -> RenderableType:
    """Lays out how exported models compare with float ones.

    Args:
        found: what the bench measured.

    Returns:
        Accuracy by model, precision and what ran it; sizes; and enrolment, if it was measured.
    """
    parts: list[RenderableType] = []
    if found.rows:
        accuracy = Table(box=None, pad_edge=False)
        names = (
            "model", "precision", "run by", "n", "float", "accuracy", "loss, points", "agreement",
            "with CPU", "detection", "at 1 %",
        )  # fmt: skip
        for name in names:
            accuracy.add_column(name, justify="left" if name in names[:3] else "right")
        sizes = Table(box=None, pad_edge=False)
        for name in (
            "model",
            "precision",
            "QDQ, KB",
            ".dlc, KB",
            "contexts, KB",
            "chips",
            "on the HTP",
            "CPU time",
        ):
            sizes.add_column(name, justify="left" if name in names[:2] else "right")
        for row in found.rows:
            _add(row, accuracy, sizes)
        parts += [
            accuracy,
            "",
            sizes,
            "* what auto takes; CPU time: of the quantized graph over the float one's",
        ]
    if found.enrolment:
        parts += ["", _enrolment_table(found)]
    return Group(*parts)


def _add(row: ExportRow, accuracy: Table, sizes: Table) -> None:
    precision = f"{row.precision}{'*' if row.chosen else ''}"
    for form, one in row.forms.items():
        figures = _figures(one)
        accuracy.add_row(
            row.arch, precision, form, str(one.n), *figures[:4], f"{one.agreement_cpu:.2%}", figures[4],
            "-" if one.detection_loss_at_far is None else f"{one.detection_loss_at_far:+.2f}",
        )  # fmt: skip
    contexts = sorted(row.context_bytes.values())
    total = sum(row.placed.values())
    on_htp = total - row.placed.get("CPUExecutionProvider", 0)
    sizes.add_row(
        row.arch,
        precision,
        f"{row.qdq_bytes / 1024:.0f}",
        "-" if row.dlc_bytes is None else f"{row.dlc_bytes / 1024:.0f}",
        f"{contexts[0] / 1024:.0f} to {contexts[-1] / 1024:.0f}" if contexts else "-",
        str(len(contexts)) if contexts else "-",
        f"{on_htp} of {total}" if total else "-",
        f"{row.time_ratio:.2f}",
    )


def _enrolment_table(found: ExportBench) -> Table:
    first = next(iter(found.enrolment.values()))
    size = f"{first.people} people, {first.words} words"
    title = f"Enrolled on the encoder: {first.method}, {first.shots} clips, {size}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("encoder", "trials", "EER, %", "found at 1 %, %"):
        table.add_column(name, justify="left" if name in ("encoder", "trials") else "right")
    for precision, words in found.enrolment.items():
        for kind, one in words.figures.items():
            shares = ((one.eer, one.eer_low, one.eer_high), (one.found, one.found_low, one.found_high))
            texts = (f"{a * 100:.2f} ({b * 100:.1f}-{c * 100:.1f})" for a, b, c in shares)
            table.add_row(precision, kind, *texts)
    return table
