"""Tables of what `kwsctl users` found, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kwsctl.personal.overview import Listed, Shown, Step
from kwsctl.personal.person import Keyword
from kwsctl.report.wording import hourly, percent


def list_table(found: Sequence[Listed]) -> RenderableType:
    """Shows the users, one a line."""
    if not found:
        return "Nobody is enrolled yet."
    table = Table("User", "Keywords", "Steps", "Size", box=None, pad_edge=False)
    for one in found:
        keywords = ", ".join(escape(keyword) for keyword in one.keywords)
        if one.encrypted:
            keywords = "[dim]encrypted[/]"
        elif one.problem:
            keywords = f"[yellow]{escape(one.problem)}[/]"
        table.add_row(f"[bold]{escape(one.user)}[/]", keywords, str(one.links), _size(one.bytes))
    return table


def user_table(found: Shown) -> RenderableType:
    """Shows what is kept about one user: facts, keywords, and the steps that led there."""
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_row("user", f"[bold]{escape(found.user)}[/]")
    facts.add_row("base", f"{escape(found.base)} [dim]{found.base_sha256[:12]}[/]")
    facts.add_row("enrolled", f"{_minute(found.created)}, {found.clips} clips")
    facts.add_row("voice", "speaker template" if found.voice else "none")
    facts.add_row("files", f"{_size(found.bytes)}, {'encrypted' if found.encrypted else 'not encrypted'}")
    facts.add_row("folder", escape(str(found.folder)))
    facts.add_row("ledger", f"{found.events} events")
    keywords = Table("Keyword", "Policy", "Method", "Threshold", "Clips", box=None, pad_edge=False)
    keywords.add_column("Expected on other clips")
    for keyword in found.keywords.values():
        keywords.add_row(*_keyword_row(keyword))
    steps = Table("Step", "When", "What", "Size", box=None, pad_edge=False)
    for step in found.links:
        steps.add_row(str(step.number), _minute(step.saved), _step(step), _size(step.bytes))
    return Group(facts, "", keywords, "", steps)


def undone_table(facts: Mapping[str, Any]) -> RenderableType:
    """Shows what is left of a profile after an undo."""
    if not facts["links"]:
        return f"Step {facts['undone']} of {escape(facts['user'])} is undone; nothing is left."
    left = ", ".join(escape(keyword) for keyword in facts["keywords"]) or "no keyword"
    return f"Step {facts['undone']} of {escape(facts['user'])} is undone; left: {left}."


def forgotten_table(facts: Mapping[str, Any]) -> RenderableType:
    """Shows every file that was removed."""
    removed = "\n".join(escape(str(path)) for path in facts["removed"])
    return f"Removed all that was kept about {escape(facts['user'])}:\n{removed}"


def _keyword_row(keyword: Keyword) -> tuple[str, ...]:
    threshold = f"{keyword.threshold:.4g}"
    if keyword.far is not None:
        threshold += f" [dim]for {percent(keyword.far)} false alarms[/]"
    if keyword.fa_per_hour is not None:
        threshold += f" [dim]for {hourly(keyword.fa_per_hour)} false alarms/h[/]"
    expected = "\n".join(f"{_words(name)} {_expected(value)}" for name, value in keyword.expected.items())
    name, method = f"[bold]{escape(keyword.name)}[/]", escape(keyword.method)
    return name, keyword.policy, method, threshold, str(keyword.clips), expected


def _step(step: Step) -> str:
    if not step.changes:
        return "settings"
    return "\n".join(
        ", ".join(
            f"{_words(name)} {_listing(value)}" for name, value in change.items() if value not in ((), [])
        )
        for change in step.changes
    )


def _words(name: str) -> str:
    return escape(str(name).replace("_", " "))


def moved_table(facts: Mapping[str, Any]) -> Table:
    """Lays out what was moved between a profile and a package.

    Args:
        facts: `user`, `keywords`, `file` and `bytes`.

    Returns:
        A table without borders.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("User", escape(str(facts["user"])))
    table.add_row("Keywords", escape(", ".join(facts["keywords"])))
    table.add_row("File", f"{escape(str(facts['file']))}, {_size(facts['bytes'])}")
    return table


def _expected(value: Any) -> str:
    """Writes what to expect: shares as percentages, and a figure before what qualifies it."""
    if isinstance(value, Mapping):
        figure = _expected(value["value"]) if "value" in value else ""
        rest = ", ".join(
            f"{_words(name)} {_expected(item)}" for name, item in value.items() if name != "value"
        )
        return f"{figure} ({rest})".strip() if rest else figure
    if isinstance(value, list | tuple):
        return " to ".join(_expected(item) for item in value)
    return percent(value) if isinstance(value, float) and 0 <= value <= 1 else _figure(value)


def _figure(value: Any) -> str:
    """Writes an option, whose kind only the method knows that made it."""
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _listing(value: Any) -> str:
    return ", ".join(_figure(item) for item in value) if isinstance(value, list | tuple) else _figure(value)


def _minute(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1000:.1f} kB"


def reviewed_table(found: Mapping[str, Any]) -> Text:
    """Tells what was answered.

    Args:
        found: counts of answers.

    Returns:
        One line.
    """
    return Text(
        f"{found['calls']} were calls, {found['others']} were not, {found['dropped']} were dropped. "
        f"The next adaptation of {found['user']} learns from it."
    )
