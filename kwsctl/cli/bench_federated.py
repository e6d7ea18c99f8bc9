"""`kwsctl bench federated`: what ways to federate are worth."""

from __future__ import annotations

from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli.bench_data import ONE_SITTING, Data, Encoder
from kwsctl.home import home as home_folder


def federated_command(
    data: Data,
    model: Encoder = None,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables; repeatable.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare ways to federate: aggregators, attacks, compression, privacy, topologies, labels, a crowd.

    Example: `kwsctl bench federated --data arabic/manifest.csv --table attacks --table compression`
    """
    from kwsctl import bundle
    from kwsctl.bench.federated import FederatedBenchOptions, federated_bench
    from kwsctl.data.prepare import prepared
    from kwsctl.options import resolve
    from kwsctl.report.federated_tables import federated_tables

    flags = {"seed": seed, "tables": tuple(table) if table else None}
    options = resolve(FederatedBenchOptions, file=config, assignments=assignments or (), flags=flags)
    encoder = bundle.load(model or parameters.shipped(parameters.ENCODER))
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, home_folder(home), progress, rate_hz=encoder.features.sample_rate_hz)
    with console.progress_bar("Federating") as progress:
        found = federated_bench(store, encoder, options, home_folder(home), progress)
    console.show(found, as_json=json, render=federated_tables)
    console.note(ONE_SITTING)
