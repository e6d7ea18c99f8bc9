"""Imports go one way: nothing on the left of the list imports anything on its right."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LAYERS = [
    {"errors", "types"},
    {"registry", "options", "seeding", "storage", "progress", "home", "records", "threads", "forked"},
    {"audio"},
    {"data"},
    {"features"},
    {"architecture", "bundle"},
    {"evaluation"},
    {"streaming"},
    {"learning"},
    {"verification"},
    {"personal"},
    {"federated"},
    {"export"},
    {"bench"},
    {"standing"},
    {"report"},
    {"demo"},
    {"diagnosis"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FILES = sorted((REPOSITORY / "kwsctl").rglob("*.py"))


def imported_parts(file: Path) -> set[str]:
    """Names of the parts of kwsctl that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("kwsctl.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "kwsctl":
            found |= {a.name for a in node.names if a.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kwsctl."):
            found.add(str(node.module).split(".")[1])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(REPOSITORY)))
def test_imports_go_one_way(file: Path) -> None:
    own = file.relative_to(REPOSITORY / "kwsctl").parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    for part in imported_parts(file):
        assert part in RANK, f"{part} has no place in LAYERS"
        assert RANK[part] <= RANK[own], f"{file.name} is in {own} and imports {part}"


@pytest.mark.parametrize("file", sorted((REPOSITORY / "models").glob("*.py")), ids=lambda f: f.name)
def test_models_import_torch_and_nothing_of_kwsctl(file: Path) -> None:
    assert not imported_parts(file)


def test_every_package_is_listed_for_the_wheel() -> None:
    listed = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {p.parent.relative_to(REPOSITORY) for p in (REPOSITORY / "kwsctl").rglob("__init__.py")}
    present = {".".join(folder.parts) for folder in folders} | {"kwsctl.models", "kwsctl.data_recipes"}
    assert listed == present


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["train", "--help"], ["data", "--help"], ["users", "--help"], ["--version"]]
)
def test_help_does_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from kwsctl.cli.app import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: sys.exit(end.code or ('torch' in sys.modules) * 99)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "kwsctl" in done.stdout
