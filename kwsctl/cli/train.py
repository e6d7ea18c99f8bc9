"""`kwsctl train`: a global model from labelled clips, or from synthetic speech if there are none."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl import records
from kwsctl.cli import completion, console, costs, parameters
from kwsctl.errors import InputError
from kwsctl.home import home as home_folder
from kwsctl.home import set_current_bundle

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle
    from kwsctl.data.store import ClipStore
    from kwsctl.learning.train import TrainResult
    from kwsctl.learning.train_options import TrainOptions
    from kwsctl.progress import Progress

DEFAULT_PHRASE = "hey snapdragon"


def train_command(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest of labelled clips; repeatable. Without it, synthetic voices speak."),
    ] = None,
    phrase: Annotated[
        str | None,
        typer.Option(help="Let synthetic voices speak this wake phrase.", show_default=DEFAULT_PHRASE),
    ] = None,
    keyword: Annotated[
        list[str] | None, typer.Option(help="Label to detect, all others are negatives; repeatable.")
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help="Architecture: a file in models/.",
            show_default="tcresnet",
            autocompletion=completion.architectures,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="Train an encoder for new words: softmax, prototypical, triplet or episodic."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Bundle whose weights to begin with.", show_default="random weights"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Bundle to write.", show_default="in the home")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.", show_default="60")] = None,
    precision: parameters.Precision = None,
    cost: Annotated[bool, typer.Option("--cost", help="Tell first what a step takes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what a step takes, and stop.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Insist on going on from a checkpoint.")] = False,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Train a global model; the same command goes on if it was interrupted.

    Example: `kwsctl train --data clips/manifest.csv --arch bcresnet --set network.tau=2`
    """
    from kwsctl import bundle as bundles
    from kwsctl.learning.train import train
    from kwsctl.learning.workers import workers
    from kwsctl.report.train_table import train_table

    begun = bundles.load(start) if start else None
    flags = {
        "arch": arch or ("duet" if objective else None),
        "epochs": epochs,
        "keywords": tuple(keyword) if keyword else None,
        "objective": objective,
        "precision": precision,
    }
    options = _options(begun, config, assignments or (), flags)
    folder = home_folder(home)
    manifests = list(data or [])
    if dry_run and not manifests:
        raise InputError("Without --data, a corpus would have to be spoken first.", "Give --data.")
    provenance: dict[str, Any] = {}
    with workers(options.device) as own:
        if phrase or not manifests:
            with console.progress_bar("Speaking") as progress:
                words = None if options.kind == "encode" else phrase or DEFAULT_PHRASE
                speak = functools.partial(_spoken, folder, words, seed, progress)
                spoken, provenance = own.leader_first(speak)
            manifests.append(spoken)
        with console.progress_bar("Reading clips") as progress:
            read = functools.partial(_read, manifests, folder, options.features.sample_rate_hz, progress)
            store = own.leader_first(read)
        spent = None
        if cost or dry_run:
            spent = costs.of_training(store, options, alone=dry_run, as_json=json)
        if dry_run:
            return
        bundle = (
            out or folder / "models" / f"{options.arch}-{manifests[-1].resolve().parent.name}.safetensors"
        )
        with console.progress_bar("Training") as progress:
            result = train(
                store,
                bundle,
                options,
                seed=seed,
                resume="must" if resume else "auto",
                start=begun,
                provenance=provenance | {"data": [path.resolve().parent.name for path in manifests]},
                own=own,
                progress=progress,
            )
        if not own.leads:
            return
    _warn(store, result)
    if result.labels:
        set_current_bundle(folder, bundle)
    records.keep(folder, "train", costs.with_cost(result, spent))
    console.show(costs.with_cost(result, spent if json else None), as_json=json, render=train_table)
    if result.labels:
        console.note(f"Next: kwsctl evaluate --data {manifests[0]} --split {'test' if not data else 'val'}")
    else:
        console.note(f"Next: kwsctl enroll CLIP… --user NAME --keyword WORD --model {bundle}")


def _options(
    begun: Bundle | None, file: Path | None, assignments: Sequence[str], flags: Mapping[str, Any]
) -> TrainOptions:
    """Resolves all options; wrong names are told before clips are read, and a start brings its network."""
    from kwsctl import registry
    from kwsctl.architecture import resolve_config
    from kwsctl.learning.encoder import OBJECTIVES
    from kwsctl.learning.train_options import TrainOptions
    from kwsctl.options import resolve

    asked = {**flags, "arch": flags["arch"] or (begun.arch if begun else None)}
    options = resolve(TrainOptions, file=file, assignments=assignments, flags=asked)
    if options.objective:
        registry.load(OBJECTIVES, options.objective)
    resolve_config(options.arch, options.network)
    return dataclasses.replace(options, network=begun.config) if begun and not options.network else options


def _warn(store: ClipStore, result: TrainResult) -> None:
    """Tells what the data lacks, and where the run went on."""
    if store.rejected:
        console.warn(f"{len(store.rejected)} clips cannot be used, the first: {store.rejected[0].reason}")
    for warning in result.warnings:
        console.warn(warning)
    if result.resumed_from:
        console.note(f"Went on after epoch {result.resumed_from} of an interrupted run.")


def _spoken(home: Path, phrase: str | None, seed: int, progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Speaks a phrase, or without one a vocabulary."""
    return _vocabulary(home, seed, progress) if phrase is None else _synthetic(home, phrase, seed, progress)


def _read(manifests: list[Path], home: Path, rate_hz: int, progress: Progress) -> ClipStore:
    """Decodes the clips of all manifests, once."""
    from kwsctl.data.joining import joined
    from kwsctl.data.prepare import prepared

    return prepared(joined(manifests, home), home, progress, rate_hz=rate_hz)


def _synthetic(home: Path, phrase: str, seed: int, progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Speaks a corpus, and says so."""
    from kwsctl.data.prepare import prepare

    name = phrase.strip().lower().replace(" ", "-")
    console.note(
        f"Synthetic voices speak {phrase!r}: a start, not evidence about people. --data takes recordings."
    )
    made = prepare(
        "synthetic",
        home,
        out=home / "data" / f"synthetic-{name}",
        flags={"phrase": phrase, "seed": seed},
        progress=progress,
    )
    return made.manifest, {"licences": [made.licence], "synthetic": True}


def _vocabulary(home: Path, seed: int, progress: Progress) -> tuple[Path, dict[str, Any]]:
    """Speaks thousands of words, and says so."""
    from kwsctl.data.prepare import prepare

    console.note("Synthetic voices speak thousands of words: a start, not evidence about people.")
    made = prepare(
        "vocabulary", home, out=home / "data" / "vocabulary", flags={"seed": seed}, progress=progress
    )
    return made.manifest, {"licences": [made.licence], "synthetic": True}
