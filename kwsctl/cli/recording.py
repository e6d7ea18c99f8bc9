"""Records clips in a terminal: countdown, level meter, playback. They are deleted after use."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kwsctl.cli import console
from kwsctl.errors import InputError

SECONDS = 2.0
COUNTDOWN = ("3", "2", "1")
COUNT_S = 0.6
METER_WIDTH = 40
TOO_LOUD = 0.98
MOST = 20


@contextlib.contextmanager
def recorded(count: int, keyword: str, rate_hz: int, *, playback: bool = True) -> Iterator[list[Path]]:
    """Records clips one after the other.

    Args:
        count: how many.
        keyword: what is to be said.
        rate_hz: sample rate, in Hz.
        playback: play each back.

    Yields:
        WAV files, which are gone afterwards: recordings of a person do not stay behind.

    Raises:
        InputError: none or too many are asked for.
        DeviceError: no microphone.
    """
    from kwsctl.audio import files, microphone

    if not 1 <= count <= MOST:
        raise InputError(f"--record {count} is not possible.", f"Record 1 to {MOST} clips; five do well.")
    with tempfile.TemporaryDirectory(prefix="kwsctl-") as folder:
        paths = []
        for number in range(1, count + 1):
            with console.live_line() as line:
                for digit in COUNTDOWN:
                    line(f"Clip {number} of {count}: say {keyword!r} after {digit} …")
                    time.sleep(COUNT_S)
                samples = microphone.record(SECONDS, rate_hz, functools.partial(_meter, line))
            path = Path(folder) / f"clip-{number}.wav"
            files.write(path, samples, rate_hz)
            if playback:
                microphone.play(samples, rate_hz)
            console.note(f"Clip {number} of {count} is recorded.")
            paths.append(path)
        yield paths


def _meter(line: Callable[[str], None], elapsed_s: float, peak: float) -> None:
    bar = "█" * round(min(1.0, peak) * METER_WIDTH)
    warning = "too loud" if peak > TOO_LOUD else ""
    line(f"● {max(0.0, SECONDS - elapsed_s):3.1f} s  {bar:<{METER_WIDTH}} {warning}")
