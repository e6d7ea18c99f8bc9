"""Writes the command table of README.md and docs/commands.md from the command line itself.

python docs/commands.py          # rewrite both
python docs/commands.py --check  # exit with 1 if they are not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer.main

from kwsctl.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
REFERENCE = REPOSITORY / "docs" / "commands.md"
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


def reference() -> str:
    """Makes the page with every option of every command."""
    parts = ["# Commands", "", "Made by `python docs/commands.py` from `kwsctl --help`.", ""]
    for name, command in leaves(typer.main.get_command(app), "kwsctl"):
        parts += [f"## `{name}`", "", sentence(command), "", "```sh", example(command), "```", ""]
        parts += ["| Option | Meaning |", "|---|---|"]
        for parameter in command.params:
            text = (getattr(parameter, "help", None) or "").replace("|", "\\|")
            names = ", ".join(f"`{option}`" for option in parameter.opts)
            parts.append(f"| {names} | {text} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def with_table(readme: str) -> str:
    """Puts the table between the markers of the README."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


def main() -> int:
    """Writes, or checks, both files."""
    wanted = {README: with_table(README.read_text()), REFERENCE: reference()}
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
