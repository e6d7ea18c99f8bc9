"""`kwsctl bench invertible` and `kwsctl bench quantized-training`: what learning on a device costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.home import home as home_folder

Data = Annotated[Path, typer.Option("--data", help="Manifest of words with a split 'val' of other people.")]


def invertible_command(
    data: Data,
    plot: Annotated[Path | None, typer.Option(help="Draw memory by depth to this PNG or SVG.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare networks that rebuild their activations with ordinary ones: memory, time, accuracy.

    Example: `kwsctl bench invertible --data arabic/manifest.csv --plot depth.png`
    """
    from kwsctl.bench.invertible import InvertibleOptions, invertible
    from kwsctl.data.prepare import prepared
    from kwsctl.options import resolve
    from kwsctl.report import depth_picture, figures
    from kwsctl.report.learning_tables import invertible_table

    options = resolve(InvertibleOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    if plot is not None:
        figures.check_suffix(plot)
    folder = home_folder(home)
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress)
    with console.progress_bar("Training") as progress:
        found = invertible(store, options, folder, progress)
    if plot is not None:
        depth_picture.draw(found, plot)
    console.show(found, as_json=json, render=invertible_table)


def quantized_training_command(
    data: Data,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare range estimators in quantized training: accuracy, bytes moved, learning on a device.

    Example: `kwsctl bench quantized-training --data arabic/manifest.csv --set seeds=3`
    """
    from kwsctl.bench.quantized_training import QuantizedTrainingOptions, quantized_training
    from kwsctl.data.prepare import prepared
    from kwsctl.options import resolve
    from kwsctl.report.learning_tables import quantized_training_table

    options = resolve(
        QuantizedTrainingOptions, file=config, assignments=assignments or (), flags={"seed": seed}
    )
    folder = home_folder(home)
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress)
    with console.progress_bar("Training") as progress:
        found = quantized_training(store, options, folder, progress)
    console.show(found, as_json=json, render=quantized_training_table)
