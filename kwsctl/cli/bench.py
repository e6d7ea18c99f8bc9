"""`kwsctl bench`: whole protocols over many people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl.cli import bench_learning, console, parameters
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from kwsctl.bench.people import People
    from kwsctl.learning.stored_negatives import StoredNegatives

app = typer.Typer(help="Measure whole protocols over many people.", no_args_is_help=True)
app.command("invertible")(bench_learning.invertible_command)
app.command("quantized-training")(bench_learning.quantized_training_command)

ONE_SITTING = "A person's repetitions of a word are mostly from one sitting: real use will be harder."
Encoder = Annotated[Path | None, typer.Option("--model", help="An encoder.", show_default="the shipped one")]
Data = Annotated[Path, typer.Option("--data", help="Manifest of people who each say the same words.")]


@app.command("few-shot")
def few_shot_command(
    data: Data,
    plot: Annotated[Path | None, typer.Option(help="Draw the chart to this PNG or SVG.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare how people are heard before and after enrolment, outliers and others apart.

    Example: `kwsctl bench few-shot --data arabic/manifest.csv --plot few-shot.png`
    """
    from kwsctl.bench.few_shot import FewShotOptions, few_shot
    from kwsctl.data.prepare import prepared
    from kwsctl.options import resolve
    from kwsctl.report import figures
    from kwsctl.report.bench_tables import few_shot_table
    from kwsctl.report.few_shot_picture import draw

    options = resolve(FewShotOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    if plot is not None:
        figures.check_suffix(plot)
    folder = home_folder(home)
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress)
    with console.progress_bar("Enrolling") as progress:
        found = few_shot(store, options, folder, progress)
    if plot is not None:
        draw(found, plot)
    console.show(found, as_json=json, render=few_shot_table)
    console.note(ONE_SITTING)


@app.command("new-words")
def new_words_command(
    data: Data,
    model: Encoder = None,
    shots: Annotated[int, typer.Option(help="Clips to enrol.")] = 3,
    method: Annotated[str, typer.Option(help="A file in learning/adapters/ that changes the head.")] = "head",
    word: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Enrol words that the encoder has never heard, and try wrong words and impostors.

    Example: `kwsctl bench new-words --data arabic/manifest.csv`
    """
    from kwsctl.bench.new_words import new_words
    from kwsctl.report.bench_tables import new_words_table

    people, negatives = _people(data, model, home_folder(home))
    with console.progress_bar("Enrolling") as progress:
        found = new_words(
            people,
            negatives,
            words=word or sorted(set(people.words)),
            shots=shots,
            method=method,
            seed=seed,
            progress=progress,
        )
    console.show(found, as_json=json, render=new_words_table)
    console.note(ONE_SITTING)


@app.command("promises")
def promises_command(
    data: Data,
    model: Encoder = None,
    shots: Annotated[int, typer.Option(help="Clips to enrol; the others are the test.")] = 5,
    every: Annotated[int, typer.Option(help="Take every so many of the words.")] = 4,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Hold `kwsctl enroll` to its word: expected rates against those of clips it never saw.

    Example: `kwsctl bench promises --data arabic/manifest.csv --set far=0.01`
    """
    from kwsctl.bench.promises import promises
    from kwsctl.learning.enrolment_trials import EnrollOptions
    from kwsctl.options import resolve
    from kwsctl.report.bench_tables import promises_table

    options = resolve(EnrollOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    people, negatives = _people(data, model, home_folder(home))
    words = sorted(set(people.words))[:: max(1, every)]
    with console.progress_bar("Enrolling") as progress:
        found = promises(people, negatives, words=words, shots=shots, options=options, progress=progress)
    console.show(found, as_json=json, render=promises_table)
    console.note(ONE_SITTING)


@app.command("export")
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
    seed: parameters.Seed = 0,
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
        people, negatives = _people(data, encoder, folder)
        words = sorted(set(people.words))[::every]
        with console.progress_bar("Enrolling") as progress:
            enrolment = quantized_enrolment(
                people, negatives, words=words, shots=shots, precisions=options.precisions, seed=seed,
                progress=progress,
            )  # fmt: skip
    skipped = f"the HTP: {htp.missing()}. {htp.how_to_get()}" if htp.missing() else ""
    console.show(ExportBench(rows, enrolment, skipped), as_json=json, render=bench_table)
    if skipped:
        console.warn(f"Skipped: {skipped}")
    console.note(ONE_SITTING)


@app.command("federated")
def federated_command(
    data: Data,
    model: Encoder = None,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables; repeatable.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
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
        found = federated_bench(store, encoder, options, progress)
    console.show(found, as_json=json, render=federated_tables)
    console.note(ONE_SITTING)


@app.command("continual")
def continual_command(
    data: Data,
    model: Encoder = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Simulate the use of personal keywords, and compare ways to adapt to audio that nobody labelled.

    Example: `kwsctl bench continual --data arabic/manifest.csv --set people=8`
    """
    from kwsctl import bundle
    from kwsctl.bench.continual import ContinualOptions, continual
    from kwsctl.bench.continual_summary import summary
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


def _people(data: Path, model: Path | None, home: Path) -> tuple[People, StoredNegatives]:
    """Reads the encoder, everybody's clips and the stored negatives; warns of people it has heard."""
    from kwsctl import bundle
    from kwsctl.bench.people import gather
    from kwsctl.data.prepare import prepared
    from kwsctl.learning import stored_negatives

    path = model or parameters.shipped(parameters.ENCODER)
    base = bundle.load(path)
    console.note(f"Encoder: {path.name}")
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, home, progress, rate_hz=base.features.sample_rate_hz)
    known = set(base.lineage.get("speakers", ())) & {c.speaker for c in store.clips}
    if known:
        console.warn(f"The encoder has heard {len(known)} of these people: their figures are too good.")
    with console.progress_bar("Reading") as progress:
        people = gather(store, base, (), progress)
    return people, stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
