"""`kwsctl listen`: events from a microphone, files, raw PCM, or Wyoming clients, as they come."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.cli.meter import shown
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from kwsctl.export.runtimes import Listening
    from kwsctl.personal.encryption import Key
    from kwsctl.streaming.listen import Found
    from kwsctl.streaming.listener import Listener


@dataclass(frozen=True)
class ListenOptions:
    """How scores become events.

    Attributes:
        smoothing_s: span of the moving average of scores, in s.
        refractory_s: after an event nothing fires for so long, in s.
        block_frames: feature frames that are heard at a time.
        gated: let the network rest while nothing stands out of the noise.
        shell: let a shell run the command of `--exec`.
        exec_timeout_s: a command of `--exec` that takes longer is ended, in s.
        htp_arch: generation of the HTP that `--runtime qnn` emulates.
        seed: listening draws nothing; taken as every command takes it.
    """

    smoothing_s: float = 0.3
    refractory_s: float = 2.0
    block_frames: int = 16
    gated: bool = True
    shell: bool = False
    exec_timeout_s: float = 30.0
    htp_arch: int = 75
    seed: int = 0


def listen_command(
    where: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="PATH|-|mic",
            help="A file, a folder, raw 16-bit PCM on stdin, or the microphone.",
        ),
    ] = "mic",
    user: Annotated[
        str | None,
        typer.Option(
            help="With the keywords and thresholds of this person.", autocompletion=completion.users
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a keyword counts.", show_default="the model's")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="What runs the network: onnx, torch, or qnn for a package.", show_default="onnx"),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--exec", metavar="CMD", help="Run this for each event, with the event on its stdin."),
    ] = None,
    wyoming: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen for Wyoming clients, such as Home Assistant."),
    ] = None,
    model: parameters.Model = None,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Listen to a microphone, files or raw PCM, and print one JSON line for each keyword that is heard.

    Example: `kwsctl listen --input meeting.flac --user ana`
    """
    from kwsctl.evaluation.streams import Trigger
    from kwsctl.options import resolve
    from kwsctl.streaming.listener import Listener

    how = resolve(ListenOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    key = secrets.resolve_key(passphrase, key_file) if user is not None else None
    found = _model(model, user, key, home, runtime, how)
    trigger = Trigger(how.smoothing_s, how.refractory_s)

    def listener() -> Listener:
        return Listener(
            found.engine(),
            trigger=trigger,
            voice=found.voice,
            threshold=threshold,
            block_frames=how.block_frames,
            gated=how.gated,
        )

    first = listener()
    console.note(f"Model: {found.named}, by {found.runtime}. Keywords: {_some(first.keywords)}.")
    with _told(command, how, user, first.ear.engine.sha256) as on_event:
        if wyoming is None:
            _listen(first, where, on_event)
        else:
            _serve(listener, first.keywords, found, user, wyoming, on_event)


def _model(
    model: Path | None,
    user: str | None,
    key: Key | None,
    home: Path | None,
    runtime: str | None,
    how: ListenOptions,
) -> Listening:
    """Opens what listens; a package without torch."""
    from kwsctl.export.runtimes import check_runtime, listen_to_bundle, listen_to_package

    packaged = model is not None and model.is_dir()
    check_runtime(runtime, packaged=packaged)
    if model is not None and packaged:
        return listen_to_package(model, user, key, runtime, how.htp_arch)
    if user is None:
        bundle, named = parameters.resolve_model(model, home_folder(home))
    else:
        from kwsctl.personal.model import model_of

        bundle, named = model_of(home_folder(home), user, key, lambda name: parameters.base_or(model, name))
    return listen_to_bundle(bundle, named, runtime, how.block_frames)


def _listen(listener: Listener, where: str, on_event: Callable[[Found], None]) -> None:
    """Listens to one stream after the other."""
    from kwsctl.streaming.listen import listen
    from kwsctl.streaming.sources import sources

    lost: list[None] = []
    rate_hz = listener.ear.engine.features.sample_rate_hz
    given = sources(where, rate_hz, sys.stdin.buffer, on_lost=lambda: lost.append(None))
    count, began = 0, time.process_time()
    try:
        with shown(where) as (on_level, progress):
            for found in listen(listener, given, on_level=on_level, progress=progress):
                on_event(found)
                count += 1
    finally:
        if lost:
            console.warn(f"Samples of the microphone were lost {len(lost)} times: times are late by as much.")
        if heard_s := listener.samples / rate_hz:
            factor = (time.process_time() - began) / heard_s
            console.note(f"{count} events; {factor:.4f} CPU seconds for a second of the last stream.")


def _serve(
    listener: Callable[[], Listener],
    keywords: tuple[str, ...],
    found: Listening,
    user: str | None,
    address: str,
    on_event: Callable[[Found], None],
) -> None:
    """Listens for Wyoming clients."""
    from kwsctl.streaming.wyoming_server import Service, serve

    only = found.voice.labels if found.voice is not None else ()
    serve(Service(listener, keywords, user, only, on_event, console.note), address)


@contextlib.contextmanager
def _told(
    command: str | None, how: ListenOptions, user: str | None, sha256: str
) -> Iterator[Callable[[Found], None]]:
    """Prints events, and runs the command of `--exec` for each."""
    if command is None:
        yield lambda found: console.line(found.facts(user, sha256))
        return
    from kwsctl.streaming.hooks import CommandHook

    hook = CommandHook(command, shell=how.shell, timeout_s=how.exec_timeout_s)

    def tell(found: Found) -> None:
        facts = found.facts(user, sha256)
        console.line(facts)
        hook(facts)

    try:
        with hook:
            yield tell
    finally:
        for reason, times in hook.failures.items():
            console.warn(f"--exec failed {times} times: {reason}.")
        console.note(f"--exec ran {hook.ran} times.")


def _some(keywords: tuple[str, ...]) -> str:
    more = f" and {len(keywords) - 8} more" if len(keywords) > 8 else ""
    return ", ".join(keywords[:8]) + more
