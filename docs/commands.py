"""Writes the command table of README.md, docs/commands.md and the table of recipes from the program itself.

python docs/commands.py          # rewrite them
python docs/commands.py --check  # exit with 1 if they are not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer.main

from kwsctl.cli.app import app
from kwsctl.data.prepare import recipes

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
REFERENCE = REPOSITORY / "docs" / "commands.md"
DATA = REPOSITORY / "docs" / "data.md"
RECIPES, RECIPES_END = "<!-- recipes: made by docs/commands.py -->", "<!-- end of recipes -->"
START, END = "<!-- commands: made by docs/commands.py -->", "<!-- end of commands -->"


def leaves(command: Any, name: str) -> list[tuple[str, Any]]:
    """Lists the commands below a command with their full names."""
    if hasattr(command, "commands"):
        own = [(name, command)] if command.invoke_without_command else []
        below = [leaf for word, sub in command.commands.items() for leaf in leaves(sub, f"{name} {word}")]
        return own + below
    return [(name, command)]


def sentence(command: Any) -> str:
    """Gives the first sentence of a command's help."""
    return (command.help or "").strip().partition("\n")[0]


def example(command: Any) -> str:
    """Gives the example in a command's help."""
    found = re.search(r"Example: (`+)(.+?)\1", command.help or "", re.DOTALL)
    return found.group(2) if found else ""


def table() -> str:
    """Makes the table for the README."""
    rows = ["| Command | What it does |", "|---|---|"]
    for name, command in leaves(typer.main.get_command(app), "kwsctl"):
        rows.append(f"| `{name}` | {sentence(command)} |")
    return "\n".join(rows)


def default(parameter: Any) -> str:
    """Tells what an option is by default, as a terminal shows it."""
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return f" Default: {shown}."
    is_plain = isinstance(parameter.default, str | int | float) and not isinstance(parameter.default, bool)
    return f" Default: {parameter.default}." if is_plain and shown else ""


def reference() -> str:
    """Makes the page with every option of every command."""
    parts = ["# Commands", "", "Made by `python docs/commands.py` from `kwsctl --help`.", ""]
    for name, command in leaves(typer.main.get_command(app), "kwsctl"):
        parts += [f"## `{name}`", "", sentence(command), "", "```sh", example(command), "```", ""]
        parts += ["| Option | Meaning |", "|---|---|"]
        for parameter in command.params:
            text = ((getattr(parameter, "help", None) or "") + default(parameter)).replace("|", "\\|")
            names = ", ".join(f"`{option}`" for option in parameter.opts)
            parts.append(f"| {names} | {text} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def recipe_table() -> str:
    """Makes the table of data recipes, their sizes and licences."""
    rows = ["| Recipe | What | Download | Licence |", "|---|---|---|---|"]
    for one in recipes():
        size = "" if one.bytes is None else f"{one.bytes / 1e9:.1f} GB"
        cells = (f"`{one.name}`", one.summary, size, one.licence)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def between(text: str, start: str, made: str, end: str) -> str:
    """Puts what was made between two markers of a page."""
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{made}\n{end}{after}"


def main() -> int:
    """Writes, or checks, all files."""
    wanted = {
        README: between(README.read_text(), START, table(), END),
        REFERENCE: reference(),
        DATA: between(DATA.read_text(), RECIPES, recipe_table(), RECIPES_END),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.name} is not up to date: python docs/commands.py\n")
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
