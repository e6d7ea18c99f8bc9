"""`kwsctl bench export`: what packages for devices lose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli.bench_data import ONE_SITTING, Data, people_and_negatives
from kwsctl.home import home as home_folder


def export_command(
    data: Data,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="Bundle to export; repeatable.", show_default="only the encoder's part"),
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Encoder to enrol on.", show_default="the shipped one")
    ] = None,
    every: Annotated[int, typer.Option(help="Enrol every so many of the words; 0 for none.")] = 4,
    shots: Annotated[int, typer.Option(help="Clips to enrol.")] = 3,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare exported models with float ones: by precision, on the CPU and on generations of the HTP.

    Example: `kwsctl bench export --data arabic/manifest.csv --model dscnn.safetensors --set split=val`
    """
    from kwsctl import bundle
    from kwsctl.bench.export import ExportBench, ExportBenchOptions, export_bench, quantized_enrolment
    from kwsctl.data.prepare import prepared
    from kwsctl.export import htp
    from kwsctl.options import resolve
    from kwsctl.report.export_tables import bench_table

    options = resolve(ExportBenchOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    folder = home_folder(home)
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress)
    with console.progress_bar("Comparing") as progress:
        rows = export_bench([bundle.load(path) for path in model or ()], store, options, progress)
    enrolment = {}
    if every > 0:
        people, negatives = people_and_negatives(data, encoder, folder)
        words = sorted(set(people.words))[::every]
        with console.progress_bar("Enrolling") as progress:
            enrolment = quantized_enrolment(
                people, negatives, words=words, shots=shots, precisions=options.precisions, seed=options.seed,
                progress=progress,
            )  # fmt: skip
    skipped = f"the HTP: {htp.missing()}. {htp.how_to_get()}" if htp.missing() else ""
    console.show(ExportBench(rows, enrolment, skipped), as_json=json, render=bench_table)
    if skipped:
        console.warn(f"Skipped: {skipped}")
    console.note(ONE_SITTING)
