"""Flags that open encrypted profiles, for all commands that read or write one.

No flag takes the passphrase itself: other users of the machine could read it in the list of processes.
"""

from __future__ import annotations

import getpass
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl.errors import InputError

if TYPE_CHECKING:
    from kwsctl.personal.encryption import Key

VARIABLE = "KWSCTL_PASSPHRASE"

Passphrase = Annotated[
    bool,
    typer.Option("--passphrase", help=f"Ask for the passphrase of the profile; else ${VARIABLE}, if set."),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File that opens the profile instead of a passphrase.")
]


def resolve_key(passphrase: bool, key_file: Path | None, *, is_new: bool = False) -> Key | None:
    """Finds the key of a profile: the key file, else `KWSCTL_PASSPHRASE`, else what is typed.

    Args:
        passphrase: the value of `--passphrase`; the variable is used with it and without it.
        key_file: the value of `--key-file`.
        is_new: it will seal a new profile: what is typed is asked for twice.

    Returns:
        The key; None if none of the three is given.

    Raises:
        InputError: two are given, the file cannot be a key, or there is no terminal to ask on.
    """
    if passphrase and key_file is not None:
        raise InputError("--passphrase and --key-file are given.", "Give the one the profile was made with.")
    from_environment = os.environ.get(VARIABLE)
    if key_file is None and not from_environment and not passphrase:
        return None

    from kwsctl.personal.encryption import Key

    if key_file is not None:
        return Key.from_file(key_file)
    if from_environment:
        return Key.from_passphrase(from_environment)
    typed = _ask("Passphrase: ")
    if is_new and typed != _ask("Once more: "):
        raise InputError("The two passphrases differ.", "Nothing was written; try again.")
    return Key.from_passphrase(typed)


def _ask(prompt: str) -> str:
    """Asks on the terminal, without echo, also where stdin is a pipe."""
    with warnings.catch_warnings():
        # Without a terminal, getpass would go on with a warning and show what is typed.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError):
            raise InputError(
                "There is no terminal to ask for the passphrase on.", f"Set {VARIABLE}, or give --key-file."
            ) from None
