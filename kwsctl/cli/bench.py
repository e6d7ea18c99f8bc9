"""`kwsctl bench`: whole protocols over many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.home import home as home_folder

app = typer.Typer(help="Measure whole protocols over many people.", no_args_is_help=True)

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
    console.note("A person's repetitions of a word are from one sitting: real use will be harder.")


@app.command("new-words")
def new_words_command(
    data: Data,
    model: Annotated[
        Path | None, typer.Option("--model", help="An encoder.", show_default="the shipped one")
    ] = None,
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
    from kwsctl import bundle
    from kwsctl.bench.new_words import new_words
    from kwsctl.bench.people import gather
    from kwsctl.data.prepare import prepared
    from kwsctl.learning import stored_negatives
    from kwsctl.report.bench_tables import new_words_table

    folder = home_folder(home)
    path = model or parameters.shipped(parameters.ENCODER)
    base = bundle.load(path)
    console.note(f"Encoder: {path.name}")
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress, rate_hz=base.features.sample_rate_hz)
    known = set(base.lineage.get("speakers", ())) & {c.speaker for c in store.clips}
    if known:
        console.warn(f"The encoder has heard {len(known)} of these people: their figures are too good.")
    with console.progress_bar("Reading") as progress:
        people = gather(store, base, (), progress)
    negatives = stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
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
    console.note("A person's repetitions of a word are from one sitting: real use will be harder.")
