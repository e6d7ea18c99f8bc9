"""`kwsctl data`: what data there is, preparing it, checking it, and taking it over from other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.home import home as home_folder

app = typer.Typer(help="Prepare, check and import data.", no_args_is_help=True)

_SHOWN_PROBLEMS = 10


@app.command("list")
def list_command(json: parameters.Json = False) -> None:
    """List the recipes: what data there is, and under which licence.

    Example: `kwsctl data list`
    """
    from kwsctl.data.prepare import recipes
    from kwsctl.report.data_tables import recipe_table

    console.show({"recipes": recipes()}, as_json=json, render=lambda found: recipe_table(found["recipes"]))


@app.command("prepare")
def prepare_command(
    name: Annotated[
        str, typer.Argument(help="Recipe, see `kwsctl data list`.", autocompletion=completion.recipes)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for downloads and manifest.", show_default="in the home")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="The data, if you have it already: nothing is downloaded.")
    ] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Download, unpack, list and decode a data set; run it again if it was interrupted.

    Example: `kwsctl data prepare folder --root my-recordings`
    """
    from kwsctl.data.prepare import prepare
    from kwsctl.report.data_tables import prepared_table

    with console.progress_bar(f"Preparing {name}") as progress:
        made = prepare(
            name,
            home_folder(home),
            out=out,
            root=root,
            file=config,
            assignments=assignments or (),
            flags={"seed": seed},
            progress=progress,
        )
    console.show(made, as_json=json, render=prepared_table)
    console.note(f"Licence: {made.licence}. Please cite: {made.citation}")
    for download in made.downloads:
        if not download.verified:
            console.warn(f"{download.url} was not verified by us; its sha256 is {download.sha256}.")
    _warn_some([f"rejected: {rejection.reason}" for rejection in made.rejections])


@app.command("check")
def check_command(
    manifest: Annotated[Path, typer.Argument(help="Manifest to look through.")],
    json: parameters.Json = False,
) -> None:
    """Count what a manifest holds and name what is wrong; exit with 2 if it is broken.

    Example: `kwsctl data check clips/manifest.csv`
    """
    from kwsctl.data.inspection import inspect
    from kwsctl.report.data_tables import inspection_table

    with console.progress_bar("Checking") as progress:
        found = inspect(manifest, progress)
    console.show(found, as_json=json, render=inspection_table)
    for warning in found.warnings:
        console.warn(warning)
    _warn_some(found.problems)
    if found.problems:
        raise typer.Exit(console.EXIT_USAGE)


@app.command("import")
def import_command(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="lhotse or kaldi.")],
    path: Annotated[Path, typer.Argument(help="CutSet (.jsonl, .jsonl.gz), or Kaldi data folder.")],
    out: Annotated[Path, typer.Option(help="Manifest to write.")],
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    json: parameters.Json = False,
) -> None:
    """Write a manifest from data that other speech tools have prepared.

    Example: `kwsctl data import lhotse cuts.jsonl.gz --out manifest.csv --set 'words=["hey snips"]'`
    """
    from kwsctl.data.importing import import_manifest
    from kwsctl.report.data_tables import inspection_table

    found = import_manifest(format_, path, out, file=config, assignments=assignments or ())
    console.show(found, as_json=json, render=inspection_table)
    for warning in found.warnings:
        console.warn(warning)
    _warn_some(found.problems)


def _warn_some(problems: list[str] | tuple[str, ...]) -> None:
    for problem in problems[:_SHOWN_PROBLEMS]:
        console.warn(problem)
    if len(problems) > _SHOWN_PROBLEMS:
        console.warn(f"and {len(problems) - _SHOWN_PROBLEMS} more; --json lists all.")
