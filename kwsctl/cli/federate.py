"""`kwsctl federate`: many devices learn one model, and raw data stays where it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl import records
from kwsctl.cli import completion, console, parameters
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle
    from kwsctl.data.store import ClipStore
    from kwsctl.federated.engines import Engine
    from kwsctl.federated.options import FederateOptions


def federate_command(
    context: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest with speakers, who become clients; repeatable."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Bundle to begin with.", show_default="fresh weights; the shipped encoder for heads"
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds.", show_default="50")] = None,
    part: Annotated[
        str | None, typer.Option(help="What is shared: full, head or vectors.", show_default="full")
    ] = None,
    aggregator: Annotated[
        str | None,
        typer.Option(
            help="A file in federated/aggregators/.",
            show_default="fedadam",
            autocompletion=completion.aggregators,
        ),
    ] = None,
    precision: parameters.Precision = None,
    task: Annotated[
        str | None,
        typer.Option(help="What is learned: words, or verification (who spoke).", show_default="words"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Of verification: feduv, fedua, fedaws, softmax, …", show_default="feduv"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Bundle to write.", show_default="in the home")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Insist on going on from a checkpoint.")] = False,
    engine: Annotated[
        str, typer.Option(help="simulation, or flower: its apps and messages, in this process.")
    ] = "simulation",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes in which simulated clients train whole networks.",
            show_default="one for each core",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where simulated clients learn: cpu, or cuda: many at once on a GPU.", show_default="cpu"
        ),
    ] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Let many simulated devices learn one model; the same command goes on if it was interrupted.

    Example: `kwsctl federate --data clips/manifest.csv --part head --set privacy.clip=1 --set
        privacy.noise=1`
    """
    if context.invoked_subcommand is not None:
        return
    from kwsctl import bundle
    from kwsctl.data.joining import joined
    from kwsctl.data.prepare import prepared
    from kwsctl.errors import InputError
    from kwsctl.federated.engines import engine_named
    from kwsctl.federated.options import FederateOptions
    from kwsctl.options import resolve
    from kwsctl.report.federate_table import federate_table

    flags: dict[str, Any] = {
        "rounds": rounds, "part": part, "aggregator": aggregator, "precision": precision,
    }  # fmt: skip
    if task == "verification" or method is not None:
        flags |= {"task": "verification", "part": part or "head", "aggregator": aggregator or "mean"}
    else:
        flags["task"] = task
    more = [f"verification.method={method}"] if method else []
    options = resolve(FederateOptions, file=config, assignments=[*(assignments or ()), *more], flags=flags)
    where = _where(engine, options.task, workers=workers, device=device)
    plays = engine_named(engine)
    if not data:
        raise InputError(
            "There are no clients without --data.",
            "Give a manifest with speakers; kwsctl data prepare makes one, for example of the "
            "recipe synthetic.",
        )
    folder = home_folder(home)
    if model is None and options.part != "full":
        model = parameters.shipped(parameters.ENCODER)
    base = None if model is None else bundle.load(model)
    console.note("Begins with fresh weights." if model is None else f"Begins with {model.name}.")
    manifest = joined(list(data), folder)
    with console.progress_bar("Reading clips") as progress:
        store = prepared(manifest, folder, progress)
    kind = "voices" if options.task == "verification" else "federated"
    path = out or folder / "models" / f"{kind}-{manifest.resolve().parent.name}.safetensors"
    provenance = {"data": [one.resolve().parent.name for one in data]}
    if options.task == "verification" and base is not None:
        _verification(plays, store, base, path, options, seed, resume, provenance, json)
        return
    with console.round_table(("round", "clients", "loss", "held out", "refused", "epsilon")) as progress:
        result = plays.federate(
            store,
            path,
            options,
            model=base,
            seed=seed,
            resume="must" if resume else "auto",
            provenance=provenance,
            **where,
            progress=progress,
        )
    records.keep(folder, "federate", result)
    if store.rejected:
        console.warn(f"{len(store.rejected)} clips cannot be used, the first: {store.rejected[0].reason}")
    for warning in result.warnings:
        console.warn(warning)
    if result.resumed_from:
        console.note(f"Went on after round {result.resumed_from} of an interrupted run.")
    console.show(result, as_json=json, render=federate_table)
    console.note(f"Next: kwsctl evaluate --model {path} --data {data[0]} --split val")


def _where(engine: str, task: str, **asked: int | str | None) -> dict[str, Any]:
    """Gives what was said about where clients learn, and refuses it where there is no choice."""
    from kwsctl.errors import InputError

    said = {name: value for name, value in asked.items() if value is not None}
    for name in said:
        if engine != "simulation":
            raise InputError(f"The engine {engine} has no {name}.", f"Leave --{name} out.")
        if task == "verification" and name == "device":
            raise InputError("Voices are learned on the CPU.", f"Leave --{name} out.")
    return said


def _verification(
    plays: Engine,
    store: ClipStore,
    encoder: Bundle,
    path: Path,
    options: FederateOptions,
    seed: int,
    resume: bool,
    provenance: dict[str, Any],
    json: bool,
) -> None:
    """Lets users learn to be told apart."""
    from kwsctl.report.verification_tables import federated_voices_table

    with console.round_table(("round", "clients", "loss", "held out", "epsilon")) as progress:
        result = plays.federate_voices(
            store,
            encoder,
            path,
            options,
            seed=seed,
            must_resume=resume,
            provenance=provenance,
            progress=progress,
        )
    for warning in result.warnings:
        console.warn(warning)
    console.show(result, as_json=json, render=federated_voices_table)
    console.note(f"Next: kwsctl verify CLIP… --user NAME --enroll --model {path}")
