"""The test of one person in one scenario, for many models."""

from __future__ import annotations

import dataclasses
import hashlib

import torch
from torch import Tensor

from kwsctl.bench import life, life_test
from kwsctl.bench.life_methods import Outcome
from kwsctl.bench.life_options import ContinualOptions
from kwsctl.bench.life_world import World, power_of
from kwsctl.bundle import Bundle
from kwsctl.seeding import numpy_generator


class Exam:
    """The test of one person in one scenario; what a trunk hears is computed once.

    Args:
        world: who there is.
        parts: the person's clips, by use.
        half: of all people, who were in the stream.
        keyword: what was enrolled.
        noise: of the room of the test; None for a quiet one.
        options: how.
        number: of the person.
    """

    def __init__(
        self, world: World, parts: life.Cast, half: int, keyword: str, noise: life.Samples | None,
        options: ContinualOptions, number: int,
    ) -> None:  # fmt: skip
        draw = numpy_generator(options.seed, "test", number)
        utterances = [(int(i), "keyword") for i in parts.tested for _ in range(options.test_repeats)]
        utterances += [(int(i), "own") for i in parts.own_tested[: options.own]]
        mixed = [utterances[i] for i in draw.permutation(len(utterances))]
        self._mine = life_test.heard(life.spoken(world.store, mixed, draw), world.base)
        self._world, self._half, self._keyword = world, half, keyword
        self._noise = None if noise is None else power_of(noise, world.base, options.snr_db)
        others = world.others(1 - half)
        names = {row for row in range(len(world.store.clips)) if world.store.clips[row].label == keyword}
        self._others_said = [
            dataclasses.replace(said, kind="impostor") if said.clip in names else said for said in others.said
        ]
        self._frames: dict[str, tuple[Tensor, Tensor]] = {}

    def of(self, made: Outcome) -> life_test.Tested:
        """Tests a model.

        Args:
            made: model and threshold.

        Returns:
            How it does.
        """
        bundle = made.bundle
        trunk = _trunk(bundle)
        others = self._world.others(1 - self._half)
        if trunk not in self._frames:
            mine = life_test.pooled(bundle, self._mine.power, self._noise)
            if trunk == _trunk(self._world.base) and self._noise is None:
                rest = self._world.quiet_frames(1 - self._half)
            else:
                rest = life_test.pooled(bundle, others.power, self._noise)
            self._frames[trunk] = mine, rest
        mine, rest = self._frames[trunk]
        return life_test.tested(
            life_test.scores(bundle, self._keyword, mine, self._mine.seconds),
            self._mine.said,
            life_test.scores(bundle, self._keyword, rest, others.seconds),
            self._others_said,
            float(torch.sigmoid(torch.tensor(made.threshold, dtype=torch.float64))),
        )


def _trunk(bundle: Bundle) -> str:
    """Names a trunk by its content: several methods learn the same one, each for itself."""
    found = hashlib.sha256()
    for name, weight in sorted(bundle.weights.items()):
        if not name.startswith("head."):
            found.update(name.encode() + weight.contiguous().numpy().tobytes())
    return found.hexdigest()
