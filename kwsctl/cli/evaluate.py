"""`kwsctl evaluate`: how good a model is on held-out clips and on continuous audio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.errors import InputError
from kwsctl.home import home as home_folder
from kwsctl.options import resolve

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle
    from kwsctl.personal.before_after import BeforeAfter
    from kwsctl.personal.encryption import Key
    from kwsctl.personal.person import Profile
    from kwsctl.personal.trials import Trials


def evaluate_command(
    data: Annotated[Path, typer.Option("--data", help="Manifest of labelled clips.")],
    model: parameters.Model = None,
    user: Annotated[
        str | None, typer.Option(help="Measure this person's model.", autocompletion=completion.users)
    ] = None,
    split: Annotated[str, typer.Option(help="Which clips: train, val or test.")] = "test",
    background: Annotated[
        list[Path] | None,
        typer.Option(metavar="AUDIO", help="File or folder of audio without keywords; repeatable."),
    ] = None,
    fa_per_hour: Annotated[
        float | None, typer.Option(help="Budget of false alarms; chooses the threshold.", show_default="0.5")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Write the score of every clip to this CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures to this PNG or SVG.")] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(help="Exit with 3 if accuracy, or detection rate of a wake word, is below this share."),
    ] = None,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Measure a model: accuracy, detection, false alarms per hour, and who fares worst.

    Example: `kwsctl evaluate --data clips/manifest.csv --background radio.flac --plot det.png`
    """
    # Imported here, because numpy alone takes as long to import as the rest of `kwsctl --help`.
    from kwsctl.evaluation.options import EvaluateOptions
    from kwsctl.report import figures
    from kwsctl.seeding import numpy_generator

    options = resolve(
        EvaluateOptions, file=config, assignments=assignments or (), flags={"fa_per_hour": fa_per_hour}
    )
    if plot is not None:
        figures.check_suffix(plot)
    if fail_under is not None and not 0 <= fail_under <= 1:
        raise InputError(
            f"--fail-under {fail_under:g} is not a share.", "Give a number from 0 to 1, such as 0.95."
        )

    from kwsctl.data.prepare import prepared
    from kwsctl.evaluation.curve import to_facts
    from kwsctl.evaluation.evaluate import evaluate
    from kwsctl.evaluation.score_file import write_scores
    from kwsctl.personal.trials import others_pass, trials
    from kwsctl.report.evaluation_table import table

    folder = home_folder(home)
    profile = key = None
    if user is None:
        bundle, origin = parameters.resolve_model(model, folder)
    else:
        key = secrets.resolve_key(passphrase, key_file)
        bundle, origin, profile = _personal(user, model, folder, key)
    console.note(f"Model: {origin}")
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, folder, progress, rate_hz=bundle.features.sample_rate_hz)
    found_trials = None
    if profile is not None:
        found_trials = trials(store, profile)
        store = found_trials.store
        _tell(found_trials, profile)
    with console.progress_bar("Evaluating") as progress:
        found = evaluate(
            bundle,
            store,
            generator=numpy_generator(seed, "evaluate"),
            split=split,
            background=background or (),
            options=options,
            progress=progress,
        )
    if scores is not None:
        write_scores(scores, found.scored, found.scores)
    if plot is not None:
        figures.draw(found, plot)
    facts = found.facts()
    if found_trials is not None and (passed := others_pass(bundle, found_trials)) is not None:
        facts = {**facts, "others_pass": passed}
        console.note(
            f"Others who say it: {passed.rate:.1%} of {passed.n} clips pass (they count nowhere else)."
        )
    facts |= {"before_after": _before_after(profile, model, bundle, found_trials)}
    _keep(folder, {**facts, "curve": to_facts(found.tradeoff)}, user, key)
    console.show(facts, as_json=json, render=lambda _: table(found))
    for warning in found.warnings:
        console.warn(warning)
    if fail_under is not None:
        _check(found.headline, fail_under)


def _personal(user: str, model: Path | None, home: Path, key: Key | None) -> tuple[Bundle, str, Profile]:
    """Loads a person's model and profile."""
    if model is not None and model.is_dir():
        return _in_package(user, model, key)
    from kwsctl.bundle import load
    from kwsctl.personal import profile as profiles
    from kwsctl.personal.model import personal_bundle

    found = profiles.load(home, user, key)
    base = parameters.base_named(found.base) if model is None else load(model)
    return personal_bundle(found, base), f"{found.base} as {user} enrolled it", found


def _before_after(
    profile: Profile | None, model: Path | None, personal: Bundle, found: Trials | None
) -> tuple[BeforeAfter, ...]:
    """Compares the person's model with the one it was made on; a package holds no other to compare with."""
    if profile is None or found is None or (model is not None and model.is_dir()):
        return ()
    from kwsctl.personal.before_after import before_after

    return before_after(profile, parameters.base_or(model, profile.base), personal, found)


def _keep(home: Path, facts: dict[str, Any], user: str | None, key: Key | None) -> None:
    """Keeps the figures for `kwsctl report`: a person's go to their ledger, sealed and forgotten with it."""
    from kwsctl import records
    from kwsctl.personal import folder, ledger

    if user is None:
        records.keep(home, "evaluate", facts)
    elif folder.of(home, user).is_dir():  # on a package there may be no profile here
        ledger.append(home, user, "evaluate", records.plain(facts), key)


def _in_package(user: str, folder: Path, key: Key | None) -> tuple[Bundle, str, Profile]:
    """Loads what a person enrolled on an exported package, or had exported with it."""
    from kwsctl.export import package, packaged, personal
    from kwsctl.export.moving import as_profile

    opened = package.read(folder)
    part = personal.read_part(opened, user, key)
    return packaged.packaged_bundle(opened, part), f"{folder} as {user} has it", as_profile(part, str(folder))


def _tell(found: Trials, profile: Profile) -> None:
    """Says what of the data counts, and as what."""
    if found.enrolled:
        console.note(f"{found.enrolled} clips are left out: {profile.user} enrolled them.")
    if found.speaker is None:
        console.warn(f"No clip here is known to be of {profile.user}: everybody counts as {profile.user}.")
    else:
        console.note(f"{profile.user} is the speaker {found.speaker} of this data.")


def _check(headline: float | None, fail_under: float) -> None:
    if headline is None:
        raise InputError(
            "--fail-under needs an operating point, and there is none.", "Give audio with --background."
        )
    if headline < fail_under:
        console.warn(f"{headline:.4f} is below --fail-under {fail_under:g}.")
        raise typer.Exit(console.EXIT_CHECK_SAID_NO)
