"""Puts the pages of the site in order; a page that is not named here comes last, under `More`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ORDER = {
    "Start": ("index", "getting-started", "concepts", "demo"),
    "Capabilities": (
        "training", "enrolment", "adaptation", "federate", "verify", "export", "listen",
        "learning-on-a-device", "report",
    ),
    "Guides": ("data", "on-device", "federated-deployment", "security", "extending"),
    "Reference": ("commands", "numbers", "figures", "design"),
}  # fmt: skip


def on_config(config: Any) -> Any:
    """Makes the navigation of the pages that are there."""
    there = {path.stem for path in Path(config["docs_dir"]).glob("*.md")}
    named = {name for names in ORDER.values() for name in names}
    groups = {**ORDER, "More": tuple(sorted(there - named))}
    config["nav"] = [
        {group: [f"{name}.md" for name in names if name in there]}
        for group, names in groups.items()
        if there & set(names)
    ]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turns links out of `docs/` into plain text: the site holds this folder only."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", markdown)
