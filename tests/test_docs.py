"""What the documents say is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kwsctl import __version__
from kwsctl.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])


def commands(command: Any, name: str) -> list[tuple[str, Any]]:
    if hasattr(command, "commands"):
        return [leaf for word, sub in command.commands.items() for leaf in commands(sub, f"{name} {word}")]
    return [(name, command)]


COMMANDS = commands(typer.main.get_command(app), "kwsctl")


def test_generated_parts_are_up_to_date() -> None:
    script = REPOSITORY / "docs" / "commands.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_help_an_example_and_json(name: str, command: Any) -> None:
    assert f"Example: `{name}" in (command.help or "")
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name} has no help"


def test_the_changelog_is_of_this_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == version == __version__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_documents_exist(page: Path) -> None:
    known = {name for name, _ in COMMANDS}
    groups = {name.rsplit(" ", 1)[0] for name in known}
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
    for line in re.findall(r"^(kwsctl [a-z].*)$", blocks, re.MULTILINE):
        words = line.split()
        named = {" ".join(words[:2]), " ".join(words[:3])}
        assert named & (known | groups), line
    for script in re.findall(r"python (benchmarks/\S+\.py)", page.read_text()):
        assert (REPOSITORY / script).exists(), script
