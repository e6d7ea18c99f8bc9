"""`kwsctl adapt`: a person's model learns from audio that nobody labelled."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.errors import InputError
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from kwsctl.export.adapt_options import PackageAdaptOptions
    from kwsctl.personal.encryption import Key


def adapt_command(
    user: Annotated[str, typer.Option(help="Whose model.", autocompletion=completion.users)],
    stream: Annotated[
        str,
        typer.Option(
            metavar="PATH|-|mic", help="A file, a folder, raw 16-bit PCM on stdin, or a microphone."
        ),
    ],
    keyword: Annotated[str | None, typer.Option(help="Which one, if the person has several.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="How: auto, a file in learning/adapters/, forward for inference only, or threshold.",
            show_default="auto",
        ),
    ] = None,
    ask: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Keep the audio of so many segments in doubt, those nearest to calls, for users review.",
        ),
    ] = None,
    environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the room or car in the ledger.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(help="Stop after so much audio.", show_default="all of it")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="The bundle that the profile was made on, or the folder of an exported package (no torch).",
        ),
    ] = None,
    precision: parameters.Precision = None,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Let a person's keyword learn from unlabelled audio; what makes it worse is rolled back.

    Example: `kwsctl adapt --stream recordings/ --user ana`
    """
    from kwsctl.options import resolve
    from kwsctl.report.adapt_table import adapt_table
    from kwsctl.streaming.sources import sources

    if max_hours is not None and not max_hours > 0:
        raise InputError(f"--max-hours {max_hours:g} is no time.", "Give more than 0.")
    flags = {"method": method, "ask": ask, "environment": environment, "seed": seed}
    if model is not None and model.is_dir():
        from kwsctl.export.adapt_options import PackageAdaptOptions

        asked = resolve(PackageAdaptOptions, file=config, assignments=assignments or (), flags=flags)
        given_key = secrets.resolve_key(passphrase, key_file)
        _in_package(model, user, keyword, stream, asked, given_key, max_hours, json)
        return

    from kwsctl.learning import stored_negatives
    from kwsctl.learning.adapt_options import AdaptOptions
    from kwsctl.personal import profile as profiles
    from kwsctl.personal.adaptation import Adaptation

    flags["precision"] = precision
    options = resolve(AdaptOptions, file=config, assignments=assignments or (), flags=flags)
    folder = home_folder(home)
    key = secrets.resolve_key(passphrase, key_file)
    base = parameters.base_or(model, profiles.load(folder, user, key).base)
    negatives = stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
    vote = parameters.voice_vote(folder, user, key, base)
    run = Adaptation(folder, user, key, base, negatives, keyword=keyword, options=options, verify=vote)
    given = sources(stream, base.features.sample_rate_hz, sys.stdin.buffer, identify=True)
    with console.progress_bar("Adapting") as progress:
        found = run.run(given, max_hours=math.inf if max_hours is None else max_hours, progress=progress)
    console.show(found, as_json=json, render=adapt_table)
    _advise(found, user)
    if found.stopped:
        raise typer.Exit(console.EXIT_INTERRUPTED)


def _advise(found: Any, user: str) -> None:
    if found.skipped:
        console.note(f"{found.skipped:.0f} s were heard before and are not heard again.")
    if found.stopped:
        console.note("Stopped; the same command goes on from here where the stream is a file.")
    if found.asked:
        console.note(f"{found.asked} segments wait for an answer: kwsctl users review {user}")
    elif found.abstained:
        console.note("With --ask 5 the next run keeps five segments in doubt for you to say what they are.")
    if found.updates:
        console.note(f"Take it back: kwsctl users undo {user}")


def _in_package(
    folder: Path,
    user: str,
    keyword: str | None,
    stream: str,
    options: PackageAdaptOptions,
    key: Key | None,
    max_hours: float | None,
    as_json: bool,
) -> None:
    """Adapts on an exported package, and shows what came of it."""
    from kwsctl.export import package, personal
    from kwsctl.export.adaptation import PackageAdaptation
    from kwsctl.export.runtime import Runtime
    from kwsctl.report.adapt_table import adapt_table
    from kwsctl.streaming.sources import sources

    opened = package.read(folder)
    run = PackageAdaptation(Runtime(opened), personal.read_part(opened, user, key), keyword, options, key)
    given = sources(stream, opened.manifest.features.sample_rate_hz, sys.stdin.buffer, identify=True)
    with console.progress_bar("Adapting") as progress:
        found = run.run(given, max_hours=math.inf if max_hours is None else max_hours, progress=progress)
    console.show(found, as_json=as_json, render=adapt_table)
    if found.stopped:
        raise typer.Exit(console.EXIT_INTERRUPTED)
