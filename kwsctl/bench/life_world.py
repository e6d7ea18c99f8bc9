"""Who there is in simulated lives, what is said on a day, and what a room sounds like."""

from __future__ import annotations

import difflib
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kwsctl.bench import life, life_test
from kwsctl.bench.life_options import ContinualOptions
from kwsctl.bundle import Bundle
from kwsctl.data import noises
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.logmel import mel_power
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS

NOISE_S = 60.0


class World:
    """Who there is, and hours of other people, whose features are made once.

    Args:
        store: clips of people who each say the same words several times.
        base: an encoder that has heard none of them.
        negatives: of other people.
        options: how.

    Raises:
        InputError: too few people.
    """

    def __init__(
        self, store: ClipStore, base: Bundle, negatives: StoredNegatives, options: ContinualOptions
    ) -> None:
        self.store, self.base, self.negatives, self.options = store, base, negatives, options
        self.speakers = sorted(
            {c.speaker for c in store.clips if c.speaker and c.label not in RESERVED_LABELS}
        )
        self.words = sorted({c.label for c in store.clips} - set(RESERVED_LABELS))
        if len(self.speakers) < max(4, 2 * options.people // 2):
            raise InputError(f"{len(self.speakers)} speakers are too few.", "Use fewer --set people=….")

    def who(self, number: int) -> tuple[str, str, int]:
        """Gives a person, their keyword, and the half of all people they belong to."""
        place = number * len(self.speakers) // self.options.people
        word = self.words[
            int(numpy_generator(self.options.seed, "keyword", number).integers(len(self.words)))
        ]
        return self.speakers[place], word, place % 2

    def prepare(self) -> None:
        """Makes the hours of both halves, before processes that share them are forked."""
        for half in (0, 1):
            self.quiet_frames(half)

    @functools.cache  # noqa: B019  # one world a run
    def others(self, half: int) -> life_test.Heard:
        """Gives hours of one half of the people, every word of theirs."""
        draw = numpy_generator(self.options.seed, "others", half)
        rows = draw.permutation(life.rows(self.store, self.speakers[half::2], lambda _: True))
        pause_s = max(0.1, self.options.hours * 3600 / len(rows) - 1.0)
        utterances = [(int(row), "other") for row in rows]
        stream = life.spoken(self.store, utterances, draw, gap_s=(0.5 * pause_s, 1.5 * pause_s))
        return life_test.heard(stream, self.base)

    @functools.cache  # noqa: B019  # one world a run
    def quiet_frames(self, half: int) -> Tensor:
        """Gives what the streaming head is given for these hours, by the trunk of the base."""
        return life_test.pooled(self.base, self.others(half).power, None)


def noise_of(options: ContinualOptions, number: int) -> tuple[life.Samples, life.Samples]:
    """Makes the noise of a person's room.

    Args:
        options: the seed is used.
        number: of the person.

    Returns:
        One stretch for the stream, another for the test.
    """
    kinds = sorted(noises.KINDS)
    draw = numpy_generator(options.seed, "room", number)
    made = noises.KINDS[kinds[number % len(kinds)]](draw, round(NOISE_S * noises.RATE_HZ))
    return made[: len(made) // 2], made[len(made) // 2 :]


def power_of(noise: life.Samples, base: Bundle, snr_db: float) -> Tensor:
    """Gives [F, M] mel power of a noise that is so much softer than usual speech."""
    factor = life.LEVEL / float(np.sqrt(np.mean(np.square(noise)))) * 10 ** (-snr_db / 20)
    return mel_power(torch.from_numpy((factor * noise).astype(np.float32))[None], base.features)[0]


def day(
    world: World, scenario: str, parts: life.Cast, keyword: str, half: int, draw: np.random.Generator
) -> list[tuple[int, str]]:
    """Says what is said in a stream, in an order that is drawn.

    Args:
        world: who there is.
        scenario: see `ContinualOptions`.
        parts: the person's clips, by use.
        keyword: what they enrolled.
        half: of all people, who are heard in streams together.
        draw: draws.

    Returns:
        Rows of the store and kinds.
    """
    options, store = world.options, world.store
    speaker = store.clips[int(parts.heard[0])].speaker
    group = [s for s in world.speakers[half::2] if s != speaker]
    impostors = draw.permutation(life.rows(store, group, lambda label: label == keyword))
    others = draw.permutation(life.rows(store, group, lambda label: label != keyword))
    n_impostors = options.others if scenario == "impostor" else options.impostors
    if scenario == "television":
        others = _like(world, keyword, others)
    said = [(int(row), "keyword") for row in parts.heard for _ in range(options.repeats)]
    said += [(int(row), "own") for row in parts.own[: options.own]]
    said += [(int(row), "impostor") for row in np.resize(impostors, n_impostors)]
    said += [(int(row), "other") for row in others[: options.others]]
    if scenario == "impostor":
        said = [one for one in said if one[1] != "other"]
    return [said[i] for i in draw.permutation(len(said))]


def _like(world: World, keyword: str, others: Any) -> Any:
    """Puts the words first whose letters are most like the keyword's, those of the television."""
    near = {w: difflib.SequenceMatcher(None, w, keyword).ratio() for w in world.words}
    return np.array(sorted(others, key=lambda row: -near[world.store.clips[int(row)].label]))
