"""What is known of a person before a stream, and what the stream gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.learning.enrolment_material import knows
from kwsctl.learning.piece_orders import REARRANGED
from kwsctl.learning.rearranging import rearranged
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.surroundings import to_level
from kwsctl.seeding import numpy_generator

MADE_AT_MOST = 40
QUIETER_DB = 25.0  # below the loudest frame: no part of the word
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a person before the stream.

    Attributes:
        base: the global bundle.
        current: the person's model, without voice.
        keyword: one of its labels.
        threshold: of the margin.
        replay: [K, F, T'] mel power of the enrolled clips.
        voice: [S] the person's voice; None where the model tells none apart.
        only: whether others who say the keyword are refused.
        budget: share of other words that may be taken for the keyword.
        negatives: of other people.
        seed: of everything random.
        tuned: whether the trunk has learned a room.
    """

    base: Bundle
    current: Bundle
    keyword: str
    threshold: float
    replay: Tensor
    voice: Tensor | None
    only: bool
    budget: float
    negatives: StoredNegatives
    seed: int = 0
    tuned: bool = False
    made: dict[object, tuple[object, Any]] = field(default_factory=dict, repr=False)

    @property
    def others(self) -> Tensor:
        """[N, F, T'] mel power of stored negatives, as loud as the person."""
        rows = [i for i, label in enumerate(self.negatives.labels) if label != self.keyword]
        length = self.replay.shape[2]
        return self.once("others", None, lambda: to_level(self.negatives.features(length, rows), self.replay))

    @property
    def is_trained(self) -> bool:
        """Whether the base was trained to hear the keyword."""
        return knows(self.base, self.keyword)

    @property
    def mixed(self) -> Tensor:
        """[R, F, T'] mel power of the enrolled clips, cut up and put together in another order."""
        return self.once("mixed", None, self._rearranged)

    def _rearranged(self) -> Tensor:
        spans = [speech_frames(clip) for clip in self.replay]
        draw = numpy_generator(self.seed, "rearranged for the update")
        return rearranged(list(self.replay), spans, self.replay.shape[2], 2 * REARRANGED, draw)

    def once(self, name: object, of: object, make: Callable[[], Made]) -> Made:
        """Makes something once as long as what it is made of is the same object."""
        found = self.made.get(name)
        if found is None or found[0] is not of:
            found = self.made[name] = (of, make())
        return cast(Made, found[1])

    def embedded(self, bundle: Bundle, features: Tensor) -> Tensor:
        """Embeds features [N, F, T]; bundles that differ in the head alone share the answer."""
        trunk = tuple(id(w) for name, w in bundle.weights.items() if not name.startswith("head."))
        key = ("embedded", trunk, id(features))
        if len(self.made) > MADE_AT_MOST:
            for old in [k for k in self.made if isinstance(k, tuple)]:
                del self.made[old]
        # What the ids stand for is kept beside the answer, so that no id comes twice.
        found = self.made.get(key)
        if found is None:
            alive = (dict(bundle.weights), features)
            found = self.made[key] = (alive, embed(bundle.network, features))
        return cast(Tensor, found[1])


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a stream gave.

    Attributes:
        positives: [P, F, T'] mel power taken for calls of the person.
        negatives: [N, F, T'] mel power taken for something else.
        room: [M, F, C] mel power of the room; None if nothing is known of it.
        unlabelled: [U, F, T'] mel power of segments of any kind.
    """

    positives: Tensor
    negatives: Tensor
    room: Tensor | None
    unlabelled: Tensor


def speech_frames(power: Tensor) -> tuple[int, int]:
    """Finds the word in [F, T] mel power: first and last of the frames not much softer than the loudest."""
    level = power.sum(0)
    loud = torch.nonzero(level > level.max() * 10 ** (-QUIETER_DB / 10)).flatten()
    return int(loud[0]), int(loud[-1]) + 1


def empty(known: Known) -> Tensor:
    """Gives no segments at all, [0, F, T']."""
    return known.replay[:0]


def stacked(segments: Sequence[Tensor], known: Known) -> Tensor:
    """Stacks mel power of segments, none of them too."""
    return torch.stack(list(segments)) if segments else empty(known)
