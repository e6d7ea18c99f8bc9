"""`kwsctl listen`: events from a microphone, files, or raw PCM, as they come."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from kwsctl.streaming.listen import Found

METER_WIDTH = 40


@dataclass(frozen=True)
class ListenOptions:
    """How scores become events.

    Attributes:
        smoothing_s: span of the moving average of scores, in s.
        refractory_s: after an event nothing fires for so long, in s.
        block_frames: feature frames that are heard at a time.
        gated: let the network rest while nothing stands out of the noise.
        seed: listening draws nothing; taken as every command takes it.
    """

    smoothing_s: float = 0.3
    refractory_s: float = 2.0
    block_frames: int = 16
    gated: bool = True
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
    model: parameters.Model = None,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.Seed = 0,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Listen to a microphone, files or raw PCM, and print one JSON line for each keyword that is heard.

    Example: `kwsctl listen --input meeting.flac --user ana`
    """
    from kwsctl.evaluation.streams import Trigger
    from kwsctl.options import resolve
    from kwsctl.personal.model import model_of, voice_check
    from kwsctl.streaming.listen import listen
    from kwsctl.streaming.listener import Listener
    from kwsctl.streaming.sources import sources

    how = resolve(ListenOptions, file=config, assignments=assignments or (), flags={"seed": seed})
    folder = home_folder(home)
    if user is None:
        bundle, named = parameters.resolve_model(model, folder)
    else:
        key = secrets.resolve_key(passphrase, key_file)
        bundle, named = model_of(folder, user, key, lambda name: parameters.base_or(model, name))
    listener = Listener(
        bundle,
        trigger=Trigger(how.smoothing_s, how.refractory_s),
        voice=voice_check(bundle),
        threshold=threshold,
        block_frames=how.block_frames,
        gated=how.gated,
    )
    console.note(f"Model: {named}. Keywords: {_some(listener.keywords)}.")
    given = sources(where, bundle.features.sample_rate_hz, sys.stdin.buffer)
    count, began = 0, time.process_time()
    with _shown(where) as (on_level, progress):
        for found in listen(listener, given, on_level=on_level, progress=progress):
            console.line(_facts(found, user, bundle.sha256))
            count += 1
    heard_s = listener.ear.samples / bundle.features.sample_rate_hz
    if heard_s:
        factor = (time.process_time() - began) / heard_s
        console.note(f"{count} events; the last stream took {factor:.4f} CPU seconds for a second of audio.")


def _facts(found: Found, user: str | None, sha256: str) -> dict[str, Any]:
    return {
        "time_s": round(found.detection.time_s, 3),
        "keyword": found.detection.keyword,
        "score": round(found.detection.score, 6),
        "user": user,
        "model": sha256,
        "source": found.source,
    }


def _some(keywords: tuple[str, ...]) -> str:
    more = f" and {len(keywords) - 8} more" if len(keywords) > 8 else ""
    return ", ".join(keywords[:8]) + more


@contextlib.contextmanager
def _shown(where: str) -> Iterator[tuple[Callable[[float], None], Any]]:
    """Shows a meter of scores while a microphone is heard, and how far it is with files."""
    from kwsctl.progress import silent

    if where == "mic":
        with console.live_line() as line:
            yield (
                lambda level: line(f"● {'█' * round(level * METER_WIDTH):<{METER_WIDTH}} {level:.2f}"),
                silent,
            )
    else:
        with console.progress_bar("Listening") as progress:
            yield lambda _: None, progress
