"""`kwsctl users`: who is enrolled on this device, what is kept about them, and taking it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli.passphrase import KeyFile, Passphrase, resolve_key
from kwsctl.home import home as home_folder

app = typer.Typer(help="List, show, move, undo and forget personal profiles.", no_args_is_help=True)

User = Annotated[
    str,
    typer.Argument(
        metavar="USER",
        help="Name given at enrolment, see `kwsctl users list`.",
        autocompletion=completion.users,
    ),
]


@app.command("list")
def list_command(home: parameters.Home = None, json: parameters.Json = False) -> None:
    """List who is enrolled, with their keywords.

    Example: `kwsctl users list`
    """
    from kwsctl.personal.overview import listed
    from kwsctl.report.users_table import list_table

    found = {"users": listed(home_folder(home))}
    console.show(found, as_json=json, render=lambda found: list_table(found["users"]))


@app.command("show")
def show_command(
    user: User,
    passphrase: Passphrase = False,
    key_file: KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Show what is kept about a person: keywords, thresholds, what to expect, and each step that led there.

    Example: `kwsctl users show anna`
    """
    from kwsctl.personal.overview import shown
    from kwsctl.report.users_table import user_table

    key = resolve_key(passphrase, key_file)
    console.show(shown(home_folder(home), user, key), as_json=json, render=user_table)


@app.command("export")
def export_command(
    user: User,
    to: Annotated[Path, typer.Option(metavar="PACKAGE", help="Exported package of the same bundle.")],
    model: parameters.Model = None,
    passphrase: Passphrase = False,
    key_file: KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Put what a person enrolled into an exported package.

    Example: `kwsctl users export anna --to package`
    """
    from kwsctl import bundle
    from kwsctl.export import moving, package, personal
    from kwsctl.personal import profile as profiles
    from kwsctl.report.users_table import moved_table

    key = resolve_key(passphrase, key_file)
    profile = profiles.load(home_folder(home), user, key)
    base = parameters.base_named(profile.base) if model is None else bundle.load(model)
    place = personal.write_part(package.read(to), moving.part_of(profile, base), key)
    facts = {"user": user, "keywords": list(profile.keywords), "file": place, "bytes": place.stat().st_size}
    console.show(facts, as_json=json, render=moved_table)


@app.command("import")
def import_command(
    user: User,
    source: Annotated[Path, typer.Option("--from", metavar="PACKAGE", help="Package that was enrolled on.")],
    model: parameters.Model = None,
    passphrase: Passphrase = False,
    key_file: KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Take what a person enrolled on an exported package into their profile.

    Example: `kwsctl users import anna --from package`
    """
    from kwsctl import bundle
    from kwsctl.export import moving, package, personal
    from kwsctl.personal import profile as profiles
    from kwsctl.report.users_table import moved_table

    folder = home_folder(home)
    key = resolve_key(passphrase, key_file)
    opened = package.read(source)
    part = personal.read_part(opened, user, key)
    before = profiles.load(folder, user, key) if profiles.exists(folder, user) else None
    named = before.base if before else opened.manifest.base
    base = parameters.base_named(named) if model is None else bundle.load(model)
    named = named if model is None else str(model.resolve())
    link = profiles.save(folder, moving.profile_with(part, before, base, named), key)
    facts = {"user": user, "keywords": list(part.keywords), "file": link, "bytes": link.stat().st_size}
    console.show(facts, as_json=json, render=moved_table)


@app.command("undo")
def undo_command(
    user: User,
    passphrase: Passphrase = False,
    key_file: KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Take back the newest enrolment or adaptation of a person.

    Example: `kwsctl users undo anna`
    """
    from kwsctl.personal.profile import undo
    from kwsctl.report.users_table import undone_table

    left = undo(home_folder(home), user, resolve_key(passphrase, key_file))
    facts = {
        "user": user,
        "undone": 1 + (left.links if left else 0),
        "links": left.links if left else 0,
        "keywords": list(left.keywords) if left else [],
    }
    console.show(facts, as_json=json, render=undone_table)


@app.command("review")
def review_command(
    user: User,
    play: Annotated[bool, typer.Option(help="Play each segment.")] = True,
    passphrase: Passphrase = False,
    key_file: KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Answer which doubtful segments were calls; the next adaptation learns from it.

    Example: `kwsctl users review anna`
    """
    from kwsctl.audio import microphone
    from kwsctl.personal import review
    from kwsctl.report.users_table import reviewed_table

    folder, key = home_folder(home), resolve_key(passphrase, key_file)
    counts = {"calls": 0, "others": 0, "dropped": 0}
    for one in review.queue(folder, user, key):
        if play:
            microphone.play(one.samples, one.rate_hz)
        question = (
            f"{one.facts['time_s']:.1f} s of {one.facts['stream'][:12]}: was that {one.keyword!r}? [y/n/drop]"
        )
        said = typer.prompt(question, err=True).strip().lower()
        if said in ("y", "yes", "n", "no"):
            review.answer(folder, user, one, said.startswith("y"), key)
            counts["calls" if said.startswith("y") else "others"] += 1
        elif said.startswith("d"):
            review.drop(folder, user, one)
            counts["dropped"] += 1
    console.show({"user": user, **counts}, as_json=json, render=reviewed_table)


@app.command("forget")
def forget_command(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Remove all that is kept about a person; this needs no passphrase and cannot be undone.

    Example: `kwsctl users forget anna`
    """
    from kwsctl.personal import folder
    from kwsctl.personal.profile import forget
    from kwsctl.report.users_table import forgotten_table

    place = folder.existing(home_folder(home), user)
    question = f"Remove {len(folder.files(place))} files of {user} in {place}?"
    if not (yes or json) and not typer.confirm(question, err=True):
        console.note("Nothing was removed.")
        raise typer.Exit(console.EXIT_FAILED)
    facts = {"user": user, "removed": forget(home_folder(home), user)}
    console.show(facts, as_json=json, render=forgotten_table)
