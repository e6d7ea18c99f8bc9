"""`kwsctl report`: what was found out, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.errors import InputError
from kwsctl.home import home as home_folder


def report_command(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|USER|DIR]",
            help="A model, log or JSON result, a person, or a folder.",
            autocompletion=completion.users,
            show_default="everything in the home",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Show what was found out as one HTML page that needs no network, on a phone, too.

    Example: `kwsctl report ana --out ana.html`
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out} is no name of a page.", "Give one that ends in .html.")
    from kwsctl.report import page
    from kwsctl.report.gathering import gather
    from kwsctl.report.page_table import page_table

    key = secrets.resolve_key(passphrase, key_file)
    with console.progress_bar("Drawing") as progress:
        found = gather(what, home_folder(home), key)
        made = page.write(found, out, progress)
    console.show(made, as_json=json, render=page_table)
    for reason in made.set_aside:
        console.warn(f"Set aside: {reason}")
    if key is not None:
        console.warn(f"{out} is not encrypted: it holds figures about people, no audio and no voice.")
