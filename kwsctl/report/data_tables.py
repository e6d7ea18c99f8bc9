"""Tables of what `kwsctl data` found, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from kwsctl.data.inspection import Inspection
from kwsctl.data.prepare import Listed, Prepared


def recipe_table(found: tuple[Listed, ...]) -> RenderableType:
    """Shows the recipes, one a line."""
    table = Table("Recipe", "What", "Download", "Licence", box=None, pad_edge=False)
    for recipe in found:
        size = f"{recipe.bytes / 1e9:.1f} GB" if recipe.bytes else ""
        table.add_row(f"[bold]{recipe.name}[/]", escape(recipe.summary), size, escape(recipe.licence))
    return table


def prepared_table(made: Prepared) -> RenderableType:
    """Shows what was prepared, and the manifest to go on with."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("manifest", f"[bold]{escape(str(made.manifest))}[/]")
    table.add_row("clips", f"{made.clips} ({made.rejected} rejected)")
    table.add_row("speakers", str(made.speakers))
    table.add_row("hours", f"{made.hours:.2f}")
    return table


def inspection_table(found: Inspection) -> RenderableType:
    """Shows the splits of a manifest and how often each label is there."""
    splits = Table("Split", "Clips", "Speakers", "Hours", box=None, pad_edge=False)
    for name, counts in found.splits.items():
        splits.add_row(name, f"{counts['clips']:.0f}", f"{counts['speakers']:.0f}", f"{counts['hours']:.2f}")
    splits.add_row("[bold]all[/]", str(found.clips), str(found.speakers), f"{found.hours:.2f}")
    labels = ", ".join(f"{escape(label)} {count}" for label, count in found.labels.items())
    return Group(splits, "", f"{len(found.labels)} labels: {labels}")
