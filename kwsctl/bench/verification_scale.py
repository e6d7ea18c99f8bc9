"""A thousand simulated users, of whom 1 % take part in a round: what it costs, and that memory stays flat."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kwsctl.bench.verification_trials import federation, played
from kwsctl.bundle import Bundle
from kwsctl.federated.verification import Cast, Heard
from kwsctl.seeding import numpy_generator
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import figures

SHARE = 0.01
WARM = 100  # rounds before memory is looked at first


def scale(parts: Cast, encoder: Bundle, users: int, rounds: int, length: int, seed: int) -> dict[str, Any]:
    """Plays a federation of simulated users.

    Args:
        parts: clips of real people, whom the simulated ones vary.
        encoder: whose trunk heard them.
        users: how many.
        rounds: with 1 % of the users each.
        length: bits of a code.
        seed: of everything random.

    Returns:
        One row: figures, CPU seconds, and memory after 100 rounds and at the end.
    """
    began, memory = time.process_time(), dict[int, int]()

    def watch(done: int, total: int | None, /, **facts: str | float) -> None:
        memory[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    crowd = crowd_of(parts, users, seed)
    how = VerificationOptions(length=length)
    one = played(encoder, crowd, federation(how, rounds, SHARE), seed, watch)
    found = figures(one.trials(crowd.test))
    asked = sum(line["asked"] for line in one.state.log)
    return {
        "simulated users": users,
        "rounds": rounds,
        "users in a round": f"{asked / rounds:.1f}",
        "EER": f"{100 * found.eer.mean:.1f}",
        "FPR at TPR 80%": f"{100 * found.fpr['0.8'].mean:.1f}",
        "CPU minutes": f"{(time.process_time() - began) / 60:.1f}",
        "most MB after 100 rounds, at the end": f"{memory[min(WARM, rounds)]}, {memory[rounds]}",
    }


def crowd_of(parts: Cast, users: int, seed: int, clips: int = 10) -> Cast:
    """Makes simulated users: clips of one person, moved by a mixture of how people differ from each other.

    Args:
        parts: clips of real people.
        users: how many to make.
        seed: of who is like whom.
        clips: of each, to learn from; half as many for the warm-up and for the test.

    Returns:
        Their clips.
    """
    names = parts.names
    centres = torch.stack([parts.train.of(name).mean(0) for name in names])
    apart = centres - centres.mean(0)
    sets: dict[str, list[Tensor]] = {"train": [], "warm_up": [], "test": []}
    for number in range(users):
        draw = numpy_generator(seed, "simulated user", number)
        mixture = torch.from_numpy(draw.normal(size=len(names)) / np.sqrt(len(names))).float()
        moved = mixture @ apart * 1.5
        name = names[number % len(names)]
        for share, count in (("train", clips), ("warm_up", clips // 2), ("test", clips // 2)):
            own = getattr(parts, share).of(name)
            sets[share].append(own[torch.from_numpy(draw.integers(0, len(own), count))] + moved)
    told = [f"simulated-{number:04d}" for number in range(users)]
    made = {
        share: Heard(torch.cat(found), np.repeat(np.array(told), len(found[0])))
        for share, found in sets.items()
    }
    return Cast(made["train"], made["warm_up"], made["test"], parts.unseen)
