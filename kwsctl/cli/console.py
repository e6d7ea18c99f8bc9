"""The only place that prints: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kwsctl.errors import KwsctlError
from kwsctl.progress import Progress as ReportProgress
from kwsctl.records import plain

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)

EXIT_FAILED, EXIT_USAGE, EXIT_CHECK_SAID_NO, EXIT_INTERRUPTED = 1, 2, 3, 130


def show(result: Any, *, as_json: bool, render: Callable[[Any], RenderableType], wrap: bool = True) -> None:
    """Prints what a command found out.

    Args:
        result: a dataclass or mapping of facts.
        as_json: print one JSON object instead of a table.
        render: makes what people read.
        wrap: break lines that are wider than the terminal; not for what is to be copied.
    """
    if as_json:
        print(json.dumps(plain(result), ensure_ascii=False, allow_nan=False))
    else:
        _out.print(render(result), soft_wrap=not wrap)


def line(facts: dict[str, Any]) -> None:
    """Prints one JSON object of a stream of them, at once."""
    print(json.dumps(plain(facts), ensure_ascii=False, allow_nan=False), flush=True)


def note(text: str) -> None:
    """Tells something that is not the result, on stderr."""
    _err.print(escape(text), style="dim", soft_wrap=True)


def heading(text: str) -> None:
    """Tells that a part begins, on stderr."""
    _err.print(f"\n[bold]{escape(text)}[/]", soft_wrap=True)


def command(text: str) -> None:
    """Shows a command as it would be typed, on stderr."""
    _err.print(f"[cyan]$ {escape(text)}[/]", soft_wrap=True)


def warn(text: str) -> None:
    """Tells something that the reader should not miss, on stderr."""
    _err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)


def fail(error: KwsctlError) -> int:
    """Shows an error as one line, with its remedy, and gives the exit code."""
    hint = f" [dim]{escape(error.hint)}[/]" if error.hint else ""
    _err.print(f"[red]error:[/] {escape(error.message)}{hint}", soft_wrap=True)
    return error.exit_code


def on_terminal() -> bool:
    """Tells whether somebody looks at stderr."""
    return _err.is_terminal


@contextlib.contextmanager
def live_line() -> Iterator[Callable[[str | Text], None]]:
    """Shows a line on stderr that the block may change as often as it likes; it is gone afterwards."""
    # Results go above the line where both are on the terminal; piped, they have to stay on stdout.
    both = _out.is_terminal
    with Live(console=_err, transient=True, auto_refresh=False, redirect_stdout=both) as live:
        yield lambda text: live.update(Text(text) if isinstance(text, str) else text, refresh=True)


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[ReportProgress]:
    """Shows a bar on stderr while the block runs.

    Args:
        what: what is being done, such as `Training`.

    Yields:
        The callable to hand to the library. The bar appears with its first call.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[facts]}", style="dim"),
    )
    bars = Progress(*columns, console=_err, disable=not _err.is_terminal)
    task = bars.add_task(what, total=None, facts="")

    def report(done: int, total: int | None, /, **facts: str | float) -> None:
        bars.start()  # with the first report only: work that is done at once shows no bar
        told = "  ".join(f"{name} {_short(value)}" for name, value in facts.items())
        bars.update(task, completed=done, total=total, facts=told)

    try:
        yield report
    finally:
        bars.stop()


@contextlib.contextmanager
def round_table(columns: tuple[str, ...], shown: int = 8) -> Iterator[ReportProgress]:
    """Shows the last rounds of a federation as a table on stderr while the block runs.

    Args:
        columns: `round`, and the names of facts.
        shown: how many rounds.

    Yields:
        The callable to hand to the library; what it reports before the first round is not shown.
    """
    rows: list[tuple[str, ...]] = []
    with Live(console=_err, transient=True, auto_refresh=False) as live:

        def report(done: int, total: int | None, /, **facts: str | float) -> None:
            if not facts or not _err.is_terminal:
                return
            facts = {"round": f"{done}/{total}", **facts}
            rows.append(tuple(_short(facts[name]) if name in facts else "" for name in columns))
            table = Table(*columns, box=None, pad_edge=False)
            for row in rows[-shown:]:
                table.add_row(*row)
            live.update(table, refresh=True)

        yield report


def _short(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
