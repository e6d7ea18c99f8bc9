"""What `kwsctl bench` shows, as tables."""

from __future__ import annotations

from rich.table import Table

from kwsctl.bench.few_shot_summary import FewShot
from kwsctl.bench.new_words import NewWords
from kwsctl.bench.promises import Promises


def few_shot_table(found: FewShot) -> Table:
    """Lays out detection rates before and after enrolment.

    Args:
        found: what the bench measured.

    Returns:
        One row for each method and number of clips.
    """
    title = f"Calls heard at 1 % wrong words, %, {found.people} people, {len(found.outliers)} outliers"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("method", "clips"):
        table.add_column(name)
    for name in (
        "outliers",
        "others",
        "all",
        "worst",
        "loss",
        "imp.",
        "str.",
        "KB",
        "to learn, KB",
        "s",
        "less full",
    ):
        table.add_column(name, justify="right")
    for row in found.rows:
        table.add_row(
            row.method,
            str(row.shots or "-"),
            *(_percent(rate) for rate in (row.outliers, row.others, row.everybody)),
            f"{row.worst * 100:.0f}",
            f"{min(0.0, row.worst_change) * 100:.0f}" if row.shots else "-",
            f"{row.impostors * 100:.0f}",
            f"{row.strangers * 100:.2f}",
            f"{row.bytes / 1024:.0f}" if row.bytes else "-",
            f"{row.training_bytes / 1024:.0f}" if row.training_bytes else "-",
            f"{row.seconds:.1f}" if row.shots else "-",
            _points(row.beside_full),
        )
    table.caption = (
        "worst: the person heard worst; loss: the largest of a person; imp.: others who say the keyword; "
        "str.: other words of others that pass; KB: of the change; to learn: activations, gradients and "
        "optimizer; s: wall time of learning, median; less full: points beside full; in brackets 95 % "
        "intervals over people."
    )
    return table


def new_words_table(found: NewWords) -> Table:
    """Lays out how well words that the encoder never heard are told apart.

    Args:
        found: what the bench measured.

    Returns:
        One row for each kind of trial.
    """
    title = f"{found.method}, {found.shots} clips, {found.people} people, {found.words} words"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("trials", "EER, %", "found at 1 %, %", "own", "others"):
        table.add_column(name, justify="left" if name == "trials" else "right")
    for kind, figures in found.figures.items():
        table.add_row(
            kind,
            _percent((figures.eer, figures.eer_low, figures.eer_high)),
            _percent((figures.found, figures.found_low, figures.found_high)),
            f"{figures.targets:,}",
            f"{figures.non_targets:,}",
        )
    return table


def promises_table(found: Promises) -> Table:
    """Lays out whether enrolment keeps what it promises.

    Args:
        found: what the bench measured.

    Returns:
        One line for each figure.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    n = len(found.cases)
    chosen = ", ".join(f"{name} {count}" for name, count in found.methods.items())
    table.add_row("Enrolled", f"{n}: {found.people} people, {found.words} words, {found.shots} clips each")
    table.add_row("Policy", f"{found.policy}, budget {found.budget:.3%} of other words")
    table.add_row("Methods", chosen)
    inside = (found.inside, found.inside_low, found.inside_high)
    table.add_row(
        "Promise kept", f"{_percent(inside)} % of enrolments, mean width {found.width * 100:.0f} points"
    )
    table.add_row("Calls heard", f"{found.promised:.1%} promised, {found.found:.1%} found")
    table.add_row("Wrong words", f"{found.wrong_same:.2%} own, {found.wrong_other:.2%} of others")
    table.add_row("Others saying it", f"{found.impostors:.1%} pass")
    table.add_row("An enrolment", f"{found.seconds:.1f} s")
    return table


def _points(found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "-"
    return f"{found[0] * 100:+.1f} ({found[1] * 100:+.0f} to {found[2] * 100:+.0f})"


def _percent(rate: tuple[float, float, float]) -> str:
    return f"{rate[0] * 100:.1f} ({rate[1] * 100:.0f}-{rate[2] * 100:.0f})"
