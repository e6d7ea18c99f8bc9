"""`kwsctl bench continual`: what adapting to unlabelled audio is worth."""

from __future__ import annotations

from kwsctl.cli import console, parameters
from kwsctl.cli.bench_data import ONE_SITTING, Data, Encoder
from kwsctl.home import home as home_folder


def continual_command(
    data: Data,
    model: Encoder = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Simulate the use of personal keywords, and compare ways to adapt to audio that nobody labelled.

    Example: `kwsctl bench continual --data arabic/manifest.csv --set people=8`
    """
    from kwsctl import bundle
    from kwsctl.bench.continual import continual
    from kwsctl.bench.continual_summary import summary
    from kwsctl.bench.life_options import ContinualOptions
    from kwsctl.data.prepare import prepared
    from kwsctl.learning import stored_negatives
    from kwsctl.options import resolve
    from kwsctl.report.continual_table import continual_table

    options = resolve(ContinualOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    folder = home_folder(home)
    path = model or parameters.shipped(parameters.ENCODER)
    base, negatives = bundle.load(path), stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
    console.note(f"Encoder: {path.name}")
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress, rate_hz=base.features.sample_rate_hz)
    with console.progress_bar("Living") as progress:
        cases = continual(store, base, negatives, options, folder, progress)
    console.show(summary(cases), as_json=json, render=continual_table)
    console.note(ONE_SITTING)
