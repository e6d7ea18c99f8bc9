"""`kwsctl federate deploy`: a federation of real devices, on Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli.federate import federate_command

app = typer.Typer(invoke_without_command=True)
app.callback()(federate_command)


@app.command("deploy")
def deploy_command(
    out: Annotated[Path, typer.Option(help="Folder to write; it may not be there yet.")],
    device: Annotated[list[str], typer.Option(help="Name of a device; repeatable.")],
    host: Annotated[str, typer.Option(help="By which devices reach the server.")] = "localhost",
    port: Annotated[
        int, typer.Option(help="Of the server; the SuperLink takes the next one, on loopback.")
    ] = 9443,
    model: Annotated[
        Path | None, typer.Option(help="Bundle to begin with.", show_default="the shipped encoder")
    ] = None,
    word: Annotated[
        list[str] | None, typer.Option(help="A word, for a model that has none; repeatable.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Manifest of people who take no part, to judge rounds by.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds.", show_default="50")] = None,
    least: Annotated[int, typer.Option(help="Devices that a round waits for; 0 for all.")] = 0,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    json: parameters.Json = False,
) -> None:
    """Write a Flower app, certificates and keys for real devices, and say what to type on each.

    Example: `kwsctl federate deploy --out fleet --device ana --device ben --word lights --word music --host
        fl.example.org`
    """
    from kwsctl import bundle
    from kwsctl.federated.flower.deployment import DeployOptions, deploy
    from kwsctl.federated.options import FederateOptions
    from kwsctl.options import resolve
    from kwsctl.report.deployment_page import deployment_page

    flags: dict[str, Any] = {"rounds": rounds, "part": None if model else "head"}
    options = resolve(FederateOptions, file=config, assignments=assignments or (), flags=flags)
    made = deploy(
        out,
        options,
        DeployOptions(tuple(device), host, port, least, held_out=held_out),
        model=bundle.load(model or parameters.shipped(parameters.ENCODER)),
        words=word or (),
        seed=seed,
    )
    for warning in made.warnings:
        console.warn(warning)
    console.show(made, as_json=json, render=deployment_page, wrap=False)
