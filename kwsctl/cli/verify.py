"""`kwsctl verify`: is it this person?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kwsctl.cli import console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.home import home as home_folder


def verify_command(
    user: Annotated[str, typer.Option(help="Who it should be.")],
    clips: Annotated[
        list[str] | None, typer.Argument(metavar="CLIP...", help="Files, folders or patterns; pooled.")
    ] = None,
    enroll: Annotated[bool, typer.Option("--enroll", help="Keep this voice, from three clips on.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --enroll: replace the voice of that name.")
    ] = False,
    tpr: Annotated[float, typer.Option(help="With --enroll: share of own clips to let in.")] = 0.9,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="What federate --task verification wrote.",
            show_default="the shipped any-voice",
        ),
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Encoder that the model sits on.", show_default="the shipped one")
    ] = None,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Tell whether clips are of a person; exit with 0 if so, with 3 if not.

    Several clips give one answer, by the mean of their scores. That a person is there alive is out of scope:
    a good recording of the voice is accepted.

    Example: `kwsctl verify call.wav --user ana`
    """
    from kwsctl.audio.folders import expanded
    from kwsctl.personal.verifying import ears, enroll_voice, verify
    from kwsctl.report.verification_tables import enrolled_voice_table, verify_table

    folder = home_folder(home)
    listening = ears(
        model or parameters.shipped(parameters.VOICES), encoder or parameters.shipped(parameters.ENCODER)
    )
    paths = expanded(clips or [])
    key = secrets.resolve_key(passphrase, key_file)
    if enroll:
        kept = enroll_voice(folder, user, paths, listening, tpr=tpr, key=key, replace=replace)
        _warn(kept.clips_rejected)
        if kept.strangers is not None and kept.strangers > 0.05:
            console.warn(
                f"{kept.strangers:.0%} of stored strangers would be let in. Give more clips, or --tpr 0.8."
            )
        console.show(kept, as_json=json, render=lambda found: enrolled_voice_table(vars(found)))
        return
    answer = verify(folder, user, paths, listening, key=key)
    _warn(answer.clips_rejected)
    console.show(answer, as_json=json, render=lambda found: verify_table(vars(found)))
    if not answer.accepted:
        raise typer.Exit(console.EXIT_CHECK_SAID_NO)


def _warn(rejected: Any) -> None:
    for path, reason in rejected.items():
        console.warn(f"{path} was not used: {reason}")
