"""Finds variants by file name: the folder is the registry.

`names("kwsctl.models")` lists the files of a package without importing any; `load` imports one.
Adding a variant is adding a file.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from kwsctl.errors import ExtensionError


def names(package: str) -> tuple[str, ...]:
    """Lists the variants in a package, sorted, importing none of them.

    Args:
        package: dotted name, such as `kwsctl.models`.

    Returns:
        File names without `.py`.
    """
    search_path = importlib.import_module(package).__path__
    found = (m.name for m in pkgutil.iter_modules(search_path) if not m.ispkg)
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Imports one variant.

    Args:
        package: dotted name of the folder, such as `kwsctl.models`.
        name: file name without `.py`.

    Returns:
        The imported file.

    Raises:
        ExtensionError: no such file; the message suggests near matches.
    """
    known = names(package)
    if name not in known:
        kind = package.rpartition(".")[2]
        hint = f"{did_you_mean(name, known)}Known: {', '.join(known)}."
        raise ExtensionError(f"No {kind} named {name!r}.", hint)
    return importlib.import_module(f"{package}.{name}")


def did_you_mean(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Gives `Did you mean 'x'? ` with the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}? " if near else ""
