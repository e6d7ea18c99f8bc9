"""Flags that several commands share, and what they resolve to."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl import home as home_folder
from kwsctl.errors import BundleError

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Home = Annotated[
    Path | None, typer.Option(help="Folder of models, users and prepared data.", show_default="$KWSCTL_HOME")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of options.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One option of the long tail; repeatable."),
]
Model = Annotated[
    Path | None,
    typer.Option("--model", help="A bundle.", show_default="the one trained last, else the shipped"),
]


def pretrained_bundle() -> Path:
    """Finds the bundle that is shipped with kwsctl.

    Returns:
        The file.

    Raises:
        BundleError: the installation lacks it.
    """
    folder = Path(str(importlib.resources.files("kwsctl.models") / "pretrained"))
    bundles = sorted(folder.glob("*.safetensors"))
    if not bundles:
        raise BundleError(f"No bundle is shipped in {folder}.", "Reinstall kwsctl, or give --model.")
    return bundles[0]


def resolve_model(model: Path | None, home: Path) -> tuple[Bundle, str]:
    """Loads the model a command works on.

    Args:
        model: the value of `--model`.
        home: the home folder.

    Returns:
        The bundle, and where it comes from in words to show to the user.

    Raises:
        BundleError: missing, corrupt, or from a newer version.
    """
    from kwsctl import bundle

    if model is not None:
        return bundle.load(model), f"{model} (--model)"
    current = home_folder.current_bundle(home)
    if current is not None:
        return bundle.load(current), f"{current} (trained last)"
    shipped = pretrained_bundle()
    return bundle.load(shipped), f"{shipped.name} (shipped with kwsctl)"
