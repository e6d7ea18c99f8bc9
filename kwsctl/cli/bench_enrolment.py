"""`kwsctl bench few-shot`, `new-words` and `promises`: what enrolment is worth over many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli.bench_data import ONE_SITTING, Data, Encoder, Noise, people_and_negatives
from kwsctl.home import home as home_folder


def few_shot_command(
    data: Data,
    plot: Annotated[Path | None, typer.Option(help="Draw the chart to this PNG or SVG.")] = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Compare how people are heard before and after enrolment, outliers and others apart.

    Example: `kwsctl bench few-shot --data arabic/manifest.csv --plot few-shot.png`
    """
    from kwsctl import records
    from kwsctl.bench.few_shot import few_shot
    from kwsctl.bench.few_shot_options import FewShotOptions
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
    records.keep(folder, "few-shot", found)
    if plot is not None:
        draw(found, plot)
    console.show(found, as_json=json, render=few_shot_table)
    console.note(ONE_SITTING)


def new_words_command(
    data: Data,
    model: Encoder = None,
    shots: Annotated[int, typer.Option(help="Clips to enrol.")] = 3,
    method: Annotated[str, typer.Option(help="A file in learning/adapters/ that changes the head.")] = "head",
    word: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    snr_db: Noise = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Enrol words that the encoder has never heard, and try wrong words and impostors.

    Example: `kwsctl bench new-words --data arabic/manifest.csv`
    """
    from kwsctl.bench.new_words import new_words
    from kwsctl.report.bench_tables import new_words_table

    people, negatives = people_and_negatives(data, model, home_folder(home), snr_db=snr_db, seed=seed)
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


def promises_command(
    data: Data,
    model: Encoder = None,
    shots: Annotated[int, typer.Option(help="Clips to enrol; the others are the test.")] = 5,
    every: Annotated[int, typer.Option(help="Take every so many of the words.")] = 4,
    snr_db: Noise = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Hold `kwsctl enroll` to its word: expected rates against those of clips it never saw.

    Example: `kwsctl bench promises --data arabic/manifest.csv --set far=0.01`
    """
    from kwsctl.bench.promises import promises
    from kwsctl.learning.enroll_options import EnrollOptions
    from kwsctl.options import resolve
    from kwsctl.report.bench_tables import promises_table

    options = resolve(EnrollOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    people, negatives = people_and_negatives(data, model, home_folder(home), snr_db=snr_db, seed=options.seed)
    words = sorted(set(people.words))[:: max(1, every)]
    with console.progress_bar("Enrolling") as progress:
        found = promises(people, negatives, words=words, shots=shots, options=options, progress=progress)
    console.show(found, as_json=json, render=promises_table)
    console.note(ONE_SITTING)
