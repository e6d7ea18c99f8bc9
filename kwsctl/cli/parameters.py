"""Flags that several commands share, and what they resolve to."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl import home as home_folder
from kwsctl.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from kwsctl.bundle import Bundle
    from kwsctl.personal.encryption import Key
    from kwsctl.personal.verifying import Ears

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
SeedOfOptions = Annotated[
    int | None, typer.Option("--seed", help="Seed of everything random.", show_default="0")
]
"""For commands whose options have a `seed`: left out, it is what `--set` or the file says."""
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
    typer.Option(
        "--model",
        help="A bundle, or the folder of an exported package.",
        show_default="the one trained last, else the shipped",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="Bits of weights, activations, gradients, such as w8a8g8.", show_default="fp32"),
]

COMMANDS, ENCODER, NEGATIVES = "commands-44.safetensors", "any-word.safetensors", "any-word.negatives"
VOICES = "any-voice.safetensors"


def shipped(name: str) -> Path:
    """Finds a file that is shipped with kwsctl.

    Args:
        name: of the file in `models/pretrained/`.

    Returns:
        The file.

    Raises:
        BundleError: the installation lacks it.
    """
    path = _pretrained(name)
    if not path.is_file():
        raise BundleError(f"{path} is not there.", "Reinstall kwsctl, or give --model.")
    return path


def _pretrained(name: str) -> Path:
    return Path(str(importlib.resources.files("kwsctl.models") / "pretrained" / name))


def pretrained_bundle() -> Path:
    """Finds the bundle of keywords that is shipped with kwsctl."""
    return shipped(COMMANDS)


def base_for(model: Path | None, keyword: str, home: Path) -> tuple[Bundle, str]:
    """Loads the model that a keyword is enrolled on.

    Args:
        model: the value of `--model`.
        keyword: what is enrolled.
        home: the home folder.

    Returns:
        The bundle, and how to name it: what was given, else the one trained last if it knows the keyword,
        else the shipped encoder for new words.

    Raises:
        BundleError: missing, corrupt, or from a newer version.
    """
    from kwsctl import bundle

    current = home_folder.current_bundle(home)
    if model is not None:
        return bundle.load(model), str(model.resolve())
    if current is not None and keyword in (found := bundle.load(current)).labels:
        return found, str(current.resolve())
    return bundle.load(shipped(ENCODER)), ENCODER


def base_named(name: str) -> Bundle:
    """Loads the bundle that a profile was made on.

    Args:
        name: as the profile has it: a path, or the name of a shipped file.

    Returns:
        The bundle.

    Raises:
        BundleError: it is not there any more.
    """
    from kwsctl import bundle

    path = Path(name)
    return bundle.load(path if path.is_absolute() else shipped(name))


def base_or(model: Path | None, name: str) -> Bundle:
    """Loads the bundle of `--model`, else the one that a profile was made on."""
    from kwsctl import bundle

    return base_named(name) if model is None else bundle.load(model)


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

    if model is not None and model.is_dir():
        from kwsctl.export import packaged

        return packaged.load(model), f"{model} (exported package)"
    if model is not None:
        return bundle.load(model), f"{model} (--model)"
    current = home_folder.current_bundle(home)
    if current is not None:
        return bundle.load(current), f"{current} (trained last)"
    shipped = pretrained_bundle()
    return bundle.load(shipped), f"{shipped.name} (shipped with kwsctl)"


def shipped_ears() -> Ears:
    """Loads the shipped verification model with its encoder."""
    from kwsctl.personal.verifying import ears

    return ears(shipped(VOICES), shipped(ENCODER))


def voice_vote(home: Path, user: str, key: Key | None, base: Bundle) -> Callable[[Tensor], float] | None:
    """Finds the vote of the shipped verification model, for whose voice it knows.

    Args:
        home: the home folder.
        user: the name.
        key: opens the voice if it is sealed.
        base: the bundle whose windows are judged.

    Returns:
        The vote; None where no voice is kept, or windows are not those of the encoder.
    """
    from kwsctl.personal import voice
    from kwsctl.personal.verifying import vote_of

    return vote_of(home, user, shipped_ears(), base, key) if voice.exists(home, user) else None
