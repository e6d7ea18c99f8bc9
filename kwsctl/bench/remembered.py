"""Results of parts of a bench, kept in the home so that a killed bench goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kwsctl import __version__
from kwsctl.storage import write_text


def remembered(folder: Path, name: str, key: Any, make: Callable[[], Any]) -> Any:
    """Gives what an earlier call with the same key made, or makes it and keeps it.

    Args:
        folder: where results are kept.
        name: what they are, for the file name.
        key: all that they depend on, JSON-able; the version of kwsctl is added.
        make: gives a JSON-able result.

    Returns:
        The result as JSON has it.
    """
    text = json.dumps([__version__, key], sort_keys=True)
    path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(make()))
    return json.loads(path.read_text(encoding="utf-8"))
