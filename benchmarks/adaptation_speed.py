"""What `kwsctl adapt` costs while it listens: CPU time on one core as a share of the time heard.

    OMP_NUM_THREADS=1 python benchmarks/adaptation_speed.py MANIFEST [--minutes 6 60] [--methods head forward]

A person of the manifest (people who each say the same words several times) enrols one clip in a quiet room;
then comes a busy stream in a room with noise as loud as the speech, 30 words a minute: that person's calls
and other words, and other people. Learning the room is done once; updates come with every few new calls. What
a process does once at its first update, loading parts of torch (2 s), is done before and not counted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from kwsctl import bundle
from kwsctl.bench import life
from kwsctl.bench.continual import enrolled
from kwsctl.bench.life_options import ContinualOptions
from kwsctl.bench.life_world import World, day, noise_of
from kwsctl.cli import parameters
from kwsctl.data.prepare import prepared
from kwsctl.home import home as home_folder
from kwsctl.learning import stored_negatives
from kwsctl.learning.adapt import Learner
from kwsctl.learning.adapt_options import AdaptOptions
from kwsctl.learning.known import Known
from kwsctl.learning.updating import Decided
from kwsctl.seeding import numpy_generator

OWN_CALLS = 9  # a person said each word ten times; one clip is enrolled


class Timed(Learner):
    """A learner that notes the CPU time of every update, in s, and whether it learned the room."""

    spent: list[tuple[bool, float]]

    def update(self, *, tune_room: float = 0.0) -> Decided:
        """Tries an update, see `Learner.update`."""
        began = time.process_time()
        decided = super().update(tune_room=tune_room)
        self.spent.append((decided.proposal.tuned, time.process_time() - began))
        return decided


def person(manifest: Path, home: Path, number: int, minutes: float) -> tuple[Known, np.ndarray]:
    """Gives what is known of a person, and a stream of so many minutes."""
    options = ContinualOptions(people=24, heard=OWN_CALLS, repeats=1)
    base = bundle.load(parameters.shipped(parameters.ENCODER))
    negatives = stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
    world = World(prepared(manifest, home, rate_hz=life.RATE_HZ), base, negatives, options)
    speaker, keyword, half = world.who(number)
    clips = numpy_generator(0, "clips", number)
    parts = life.cast_of(world.store, speaker, keyword, shots=1, heard=OWN_CALLS, generator=clips)
    known = enrolled(world, parts, keyword, numpy_generator(0, "enrolled", number))
    noise, pieces, wanted = noise_of(options, number)[0], [], round(60 * minutes * life.RATE_HZ)
    while sum(map(len, pieces)) < wanted:
        draw = numpy_generator(0, "day", number, len(pieces))
        said = day(world, "both", parts, keyword, half, draw)
        pieces.append(life.spoken(world.store, said, draw, noise=noise, snr_db=0.0).samples)
    return known, np.concatenate(pieces)[:wanted]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[6.0, 60.0])
    parser.add_argument("--methods", nargs="+", default=["head", "forward"])
    parser.add_argument("--person", type=int, default=10)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]).step()  # loads what the first step loads
    print("| Method | Minutes | Updates tried, taken | Listening | Learning the room | Updates | In all |")
    print("|---|---|---|---|---|---|---|")
    for method in asked.methods:
        for minutes in asked.minutes:
            known, samples = person(asked.manifest, home_folder(asked.home), asked.person, minutes)
            learner = Timed(known, (known.current, known.threshold), AdaptOptions(method=method))
            learner.spent = []
            began = time.process_time()
            for first in range(0, len(samples), life.RATE_HZ):
                learner.hear(samples[first : first + life.RATE_HZ])
            learner.end()
            cpu_s = time.process_time() - began
            room_s = sum(s for is_room, s in learner.spent if is_room)
            updates_s = sum(s for is_room, s in learner.spent if not is_room)
            shares = [s / (60 * minutes) for s in (cpu_s - room_s - updates_s, room_s, updates_s, cpu_s)]
            print(
                f"| `{method}` | {minutes:g} | {len(learner.spent)}, {learner.tally.updates} | "
                + " | ".join(f"{share:.4f}" for share in shares)
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
