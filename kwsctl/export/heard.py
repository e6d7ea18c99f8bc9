"""Windows of audio as features: what ranges are taken from, and what forms of a model are compared on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut, gather
from kwsctl.errors import InputError
from kwsctl.features.logmel import logmel
from kwsctl.learning.stored_negatives import StoredNegatives, spread
from kwsctl.types import BACKGROUND, RESERVED_LABELS, UNKNOWN

MOST_CALIBRATION, LEAST_CALIBRATION = 300, 20
_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Heard:
    """N windows.

    Attributes:
        features: [N, F, T] log-mel energies.
        labels: N labels, what was said.
        speakers: N speakers, None where not known.
        origin: where they come from, in words.
    """

    features: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    speakers: tuple[str | None, ...] = field(repr=False)
    origin: str

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Heard:
        """Keeps some of the windows, in the given order."""
        picked = [int(row) for row in rows]
        return Heard(
            self.features[rows],
            tuple(self.labels[i] for i in picked),
            tuple(self.speakers[i] for i in picked),
            self.origin,
        )

    def feeds(self, name: str) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yields each window as the input `name` [1, F, T] of a graph."""
        for i in range(len(self)):
            yield {name: self.features[i : i + 1]}


def from_store(
    bundle: Bundle, store: ClipStore, split: str, generator: np.random.Generator, most: int | None = None
) -> Heard:
    """Hears the clips of a split, in an order in which labels come in turn and speakers are mixed.

    Args:
        bundle: its features and window are used.
        store: labelled clips.
        split: which clips.
        generator: draws the order.
        most: clips to hear; all if None.

    Returns:
        One window per clip, centred on its speech; of what is no word, as many as there are.

    Raises:
        InputError: no clip is in this split, or the store has another sample rate.
    """
    if store.rate_hz != bundle.features.sample_rate_hz:
        raise InputError(
            f"The clips are at {store.rate_hz} Hz, the model hears {bundle.features.sample_rate_hz} Hz.",
            "Prepare the data at the model's rate.",
        )
    chosen = np.array([i for i in store.where(split=split) if store.clips[int(i)].label != BACKGROUND])
    if not len(chosen):
        known = ", ".join(sorted({clip.split for clip in store.clips}))
        raise InputError(f"There are no clips in split {split!r}.", f"Choose another with --split: {known}.")
    chosen = chosen[_in_turn([store.clips[int(i)].label for i in chosen], generator)][:most]
    words = frozenset(store.clips[int(i)].label for i in chosen) - set(RESERVED_LABELS)
    windows = cut(store, chosen.astype(np.int64), {}, words, bundle.clip_s)
    clips = [store.clips[int(i)] for i in windows.clip]
    parts = []
    for first in range(0, len(windows), _AT_ONCE):
        part = windows.take(np.arange(first, min(first + _AT_ONCE, len(windows))))
        parts.append(logmel(torch.from_numpy(gather(store, part)), bundle.features).numpy())
    return Heard(
        np.concatenate(parts),
        tuple(clip.label for clip in clips),
        tuple(clip.speaker for clip in clips),
        f"the split {split!r} of the data given",
    )


def from_negatives(bundle: Bundle, negatives: StoredNegatives) -> tuple[Heard, Heard]:
    """Hears the stored negatives.

    Args:
        bundle: its window is used.
        negatives: shipped features of many people.

    Returns:
        One half to calibrate with, the other to compare on.

    Raises:
        InputError: they were made with other features than the bundle's.
    """
    if negatives.spec != bundle.features:
        raise InputError(
            "The stored clips that are shipped have other features than this model: "
            f"{negatives.spec} and {bundle.features}.",
            "Give recordings to calibrate with: --data MANIFEST",
        )
    rows = np.array(spread(negatives.labels, len(negatives.labels), np.arange(len(negatives.labels))))
    halves = []
    for chosen in (rows[::2], rows[1::2]):
        picked = [int(row) for row in chosen]
        halves.append(
            Heard(
                negatives.features(bundle.n_frames, picked).numpy(),
                tuple(negatives.labels[i] for i in picked),
                tuple(negatives.speakers[i] for i in picked),
                "the stored clips of other people that are shipped",
            )
        )
    return halves[0], halves[1]


def for_calibration(heard: Heard, enrolled: Heard | None = None) -> Heard:
    """Keeps as many windows as a calibration needs.

    Args:
        heard: windows whose labels come in turn.
        enrolled: of the person whom the model is exported for; all of these are kept.

    Returns:
        At most 300, and those of the person.

    Raises:
        InputError: too few to find the ranges of activations.
    """
    if len(heard) < LEAST_CALIBRATION:
        raise InputError(
            f"{len(heard)} clips are too few to calibrate a quantized model with.",
            f"Give {LEAST_CALIBRATION} or more, better 100 to {MOST_CALIBRATION}: --data MANIFEST",
        )
    kept = heard.take(np.arange(min(len(heard), MOST_CALIBRATION)))
    if enrolled is None or not len(enrolled):
        return kept
    return Heard(
        np.concatenate([enrolled.features, kept.features]),
        # Not by name: what is compared with prototypes of words has none of the person's.
        (UNKNOWN,) * len(enrolled) + kept.labels,
        enrolled.speakers + kept.speakers,
        f"{kept.origin}, and {enrolled.origin}",
    )


def of_person(user: str, replay: Mapping[str, Tensor], n_frames: int) -> Heard | None:
    """Hears what a person enrolled with.

    Args:
        user: the name.
        replay: per keyword, log-mel features [K, F, T'] of K clips, of T frames or more.
        n_frames: T.

    Returns:
        One window per clip; None if no clips were kept.
    """
    parts = []
    for name, clips in sorted(replay.items()):
        first = (clips.shape[2] - n_frames) // 2
        parts.append((name, clips[:, :, first : first + n_frames].float().numpy()))
    labels = tuple(name for name, windows in parts for _ in windows)
    if not labels:
        return None
    features = np.concatenate([windows for _, windows in parts]).astype(np.float32)
    return Heard(features, labels, (user,) * len(labels), f"{len(labels)} enrolled clips of {user}")


def _in_turn(labels: list[str], generator: np.random.Generator) -> NDArray[np.int64]:
    """Orders rows so that labels come in turn, drawing at random within each."""
    waiting: dict[str, list[int]] = {}
    for row in generator.permutation(len(labels)):
        waiting.setdefault(labels[row], []).append(int(row))
    order: list[int] = []
    while waiting:
        for label in sorted(waiting):
            order.append(waiting[label].pop())
            if not waiting[label]:
                del waiting[label]
    return np.array(order, dtype=np.int64)
