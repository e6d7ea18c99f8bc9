"""A day of audio through `kwsctl listen`: memory, time stamps, and CPU time, with real audio again and again.

    python benchmarks/day_of_audio.py AUDIO [--hours 24] [--user NAME --home HOME] [--model BUNDLE|PACKAGE]

AUDIO is a file; it is heard again and again without a pause, so that an event in its middle has to come back
in every round, one length of the audio later: by how much it does not is the drift. A length that is no
multiple of a block moves the windows from round to round, so that an event may come one hop earlier or later.
The memory is the resident set of the process after each twenty-fourth of the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kwsctl import bundle
from kwsctl.audio import files
from kwsctl.cli.parameters import base_named, pretrained_bundle
from kwsctl.export import runtimes
from kwsctl.home import home as home_folder
from kwsctl.personal.model import model_of
from kwsctl.streaming.listen import listen
from kwsctl.streaming.listener import Listener
from kwsctl.streaming.sources import Source

MARGIN_S = 3.0
HOUR_S, NOTES = 3600, 24


def resident_mb() -> float:
    """Reads the resident set of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("There is no /proc here: memory cannot be read.")


def rounds(
    audio: np.ndarray, seconds: float, rate_hz: int, told: list[tuple[float, float]]
) -> Iterator[np.ndarray]:
    """Gives audio again and again; notes the hours that have passed and the memory, `NOTES` times."""
    given = noted = 0
    while given < seconds * rate_hz:
        for first in range(0, len(audio), rate_hz):
            part = audio[first : first + rate_hz]
            given += len(part)
            yield part
            if given >= noted * seconds / NOTES * rate_hz:
                told.append((given / rate_hz / HOUR_S, resident_mb()))
                print(f"  {told[-1][0]:5.2f} h: {told[-1][1]:.1f} MB", flush=True)
                noted += 1


def drifts(times_s: list[tuple[float, str]], length_s: float, n_rounds: int) -> tuple[list[float], int]:
    """Compares events of every round with those of the second; gives differences in s, and how many lack.

    The first round begins differently, because nothing was heard before.
    """
    rows: list[list[tuple[float, str]]] = [[] for _ in range(n_rounds + 1)]
    for time_s, keyword in times_s:
        rows[int(time_s // length_s)].append((time_s % length_s, keyword))
    inside = [[e for e in row if MARGIN_S < e[0] < length_s - MARGIN_S] for row in rows[1:n_rounds]]
    found, lacking = [], 0
    for row in inside[1:]:
        for time_s, keyword in inside[0]:
            near = [t - time_s for t, other in row if other == keyword and abs(t - time_s) < 1.0]
            lacking += not near
            found += near[:1]
    return found, lacking


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", type=Path)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--user")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--threshold", type=float)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.model is not None and chosen.model.is_dir():
        model = runtimes.listen_to_package(chosen.model, chosen.user, None)
    elif chosen.user:
        found, named = model_of(home_folder(chosen.home), chosen.user, None, base_named)
        model = runtimes.listen_to_bundle(found, named)
    else:
        path = chosen.model or pretrained_bundle()
        model = runtimes.listen_to_bundle(bundle.load(path), path.name)
    listener = Listener(model.engine(), voice=model.voice, threshold=chosen.threshold)
    rate_hz = listener.ear.engine.features.sample_rate_hz
    audio = files.read(chosen.audio, rate_hz=rate_hz)
    length_s = len(audio) / rate_hz
    told: list[tuple[float, float]] = []
    source = Source("day", rounds(audio, chosen.hours * HOUR_S, rate_hz, told))
    began = time.process_time()
    events = [(e.detection.time_s, e.detection.keyword) for e in listen(listener, [source])]
    cpu_s = time.process_time() - began
    heard_s = listener.samples / rate_hz
    n_rounds = int(heard_s // length_s)
    moved, lacking = drifts(events, length_s, n_rounds)
    settled = [mb for hours, mb in told if hours >= told[-1][0] / 4]
    hop_ms = 1000 * listener.ear.hop_s
    print(
        f"{model.named}, by {model.runtime}; {chosen.audio.name} of {length_s:.3f} s, {n_rounds} whole rounds"
    )
    print("| What | Figure |\n|---|---|")
    print(f"| audio | {heard_s / HOUR_S:.2f} h |")
    print(f"| CPU time | {cpu_s:.0f} s, real-time factor {cpu_s / heard_s:.4f} on one core |")
    print(f"| memory in the last three quarters | {min(settled):.1f} to {max(settled):.1f} MB |")
    if moved:
        late = [moved[i] for i in range(len(moved) - len(moved) // 10 - 1, len(moved))]
        print(f"| events | {len(events)}, {len(moved)} compared with those of the second round |")
        print(f"| events of the second round that lack in later ones | {lacking} |")
        print(
            f"| moved by | {1000 * min(moved):.0f} to {1000 * max(moved):.0f} ms "
            f"(a hop is {hop_ms:.0f} ms); the last tenth {1000 * statistics.mean(late):.1f} ms on average |"
        )
    else:
        print(f"| events | {len(events)}: too few to tell whether times drift |")


if __name__ == "__main__":
    main()
