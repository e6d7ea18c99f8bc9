"""`kwsctl bench verification`: what ways to learn who speaks are worth."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli.bench_data import ONE_SITTING, Data, Encoder
from kwsctl.home import home as home_folder


def verification_command(
    data: Data,
    impostors: Annotated[
        Path | None, typer.Option(help="Manifest of further speakers in running speech.")
    ] = None,
    model: Encoder = None,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables; repeatable.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the rates to write.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare ways to learn who speaks: methods, codes, keywords, pooling, attacks, many simulated users.

    Example: `kwsctl bench verification --data arabic/manifest.csv --table methods --plot roc.png`
    """
    from kwsctl import bundle
    from kwsctl.bench import verification_people
    from kwsctl.bench.verification import VerificationBenchOptions, bench_verification
    from kwsctl.data.prepare import prepared
    from kwsctl.options import resolve
    from kwsctl.report.verification_picture import draw_roc
    from kwsctl.report.verification_tables import bench_verification_tables

    flags = {"tables": tuple(table) if table else None}
    options = resolve(VerificationBenchOptions, file=config, assignments=assignments or (), flags=flags)
    encoder = bundle.load(model or parameters.shipped(parameters.ENCODER))
    folder = home_folder(home)
    with console.progress_bar("Listening") as progress:
        rate_hz = encoder.features.sample_rate_hz
        store = prepared(data, folder, progress, rate_hz=rate_hz)
        others = None if impostors is None else prepared(impostors, folder, progress, rate_hz=rate_hz)
        kept = functools.partial(verification_people.kept, folder / "bench", encoder=encoder)
        people = kept(store, make=verification_people.spoken)
        strange = None if others is None else kept(others, make=verification_people.readers)
    with console.progress_bar("Federating") as progress:
        found = bench_verification(people, strange, encoder, options, seed, progress)
    if plot is not None and found.curves:
        title = f"{found.participants} users, {found.seeds} federations of each kind, further clips"
        draw_roc(found.curves, plot, title)
    console.show(found, as_json=json, render=bench_verification_tables)
    console.note(ONE_SITTING)
