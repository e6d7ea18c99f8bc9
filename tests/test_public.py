"""What other programs may rely on: complete, sorted, documented, and free of charge until it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import kwsctl

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = [file for part in ("kwsctl", "models", "data_recipes") for file in (REPOSITORY / part).rglob("*.py")]


def test_the_list_is_sorted_and_each_name_leads_to_what_it_names() -> None:
    assert kwsctl.__all__ == sorted(kwsctl.__all__)
    assert set(kwsctl.__all__) == set(kwsctl._HOME_OF)
    for name in kwsctl.__all__:
        found = getattr(kwsctl, name)
        assert found.__name__ == name
        assert inspect.getdoc(found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        kwsctl.trian  # noqa: B018


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, kwsctl; kwsctl.Clip; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_everything_public_is_documented_and_says_what_it_returns(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the module does not say what it is for"
    public = [
        node
        for node in [*tree.body, *(n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body)]
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    for node in public:
        assert ast.get_docstring(node), f"{node.name} is not documented"
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{node.name} does not say what it returns"
