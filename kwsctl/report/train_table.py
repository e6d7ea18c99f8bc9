"""What `kwsctl train` shows when it is done."""

from __future__ import annotations

from rich.table import Table

from kwsctl.learning.train import TrainResult

NAMES = {
    "accuracy": "accuracy",
    "average_precision": "average precision",
    "detected_at_far_1pct": "detected at 1 % false alarms",
    "found_at_far_1pct": "new words found at 1 % false alarms, 3 clips enrolled",
    "equal_error_rate": "new words, equal error rate",
}


def train_table(result: TrainResult) -> Table:
    """Lays out what training made.

    Args:
        result: of `kwsctl.learning.train.train`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    n_labels = len(result.labels)
    what = f"{n_labels} labels" if n_labels > 3 else ", ".join(result.labels)
    table.add_row("Bundle", str(result.bundle))
    learned = f"{what} ({result.task})" if n_labels else "an encoder for words it has not heard"
    table.add_row("Learned", f"{learned}, windows of {result.clip_s:g} s")
    table.add_row(
        "Network", f"{result.arch}: {result.params:,} parameters, {result.macs_per_clip:,} MACs a window"
    )
    for name, value in result.val.items():
        table.add_row(f"Held-out {NAMES.get(name, name)}", f"{value:.2%}")
    table.add_row("Held out", f"{result.held_out}; chose the epoch, so expect a little less elsewhere")
    if result.thresholds:
        low, high = min(result.thresholds.values()), max(result.thresholds.values())
        table.add_row("Threshold", f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}")
    table.add_row(
        "Training",
        f"{result.epochs} epochs in {result.train_s:.0f} s, {result.clips_per_s:.0f} clips/s, "
        f"{result.data_share:.0%} of the time waiting for batches",
    )
    table.add_row("Log", str(result.log))
    return table
