"""Simulates days of a device: a person's keyword, their other words, other people, noise and silence.

The simulator keeps the truth. Who adapts never sees it. Clips that are enrolled, clips of the stream and
clips of the test are different recordings; other people in the stream are not those of the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.types import RESERVED_LABELS

RATE_HZ = 16_000
QUIET = 0.0005  # amplitude of a room's own noise
LEVEL = 0.05  # root mean square of speech before its own variation
LEVEL_DB = 6.0
EDGE_S = 3.0
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Said:
    """One utterance of the truth.

    Attributes:
        clip: row of the store.
        start_s: when it begins in the stream, in s.
        end_s: when it ends.
        kind: `keyword` (by the person), `own` (the person's other words), `impostor` (others who say the
            keyword) or `other`.
    """

    clip: int
    start_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, eq=False)
class Stream:
    """Audio and what is said in it.

    Attributes:
        samples: [S] at 16 kHz.
        said: utterances in order of time.
    """

    samples: Samples
    said: Sequence[Said]

    @property
    def seconds(self) -> float:
        """Its length, in s."""
        return len(self.samples) / RATE_HZ

    def pieces(self, size: int = RATE_HZ) -> Iterator[Samples]:
        """Gives the samples piece by piece."""
        for first in range(0, len(self.samples), size):
            yield self.samples[first : first + size]


@dataclass(frozen=True)
class Cast:
    """Who says what, as rows of a store.

    Attributes:
        enrolled: clips of the keyword that are enrolled.
        heard: clips of the keyword in the stream.
        tested: clips of the keyword in the test.
        own: the person's other words, in the stream.
        own_tested: the person's other words, in the test.
    """

    enrolled: NDArray[np.int64]
    heard: NDArray[np.int64]
    tested: NDArray[np.int64]
    own: NDArray[np.int64]
    own_tested: NDArray[np.int64]


def cast_of(
    store: ClipStore, speaker: str, keyword: str, *, shots: int, heard: int, generator: np.random.Generator
) -> Cast:
    """Shares a person's clips out, each to one use.

    Args:
        store: the clips.
        speaker: the person.
        keyword: what is enrolled.
        shots: clips to enrol.
        heard: clips of the keyword in the stream; the rest is the test.
        generator: draws.

    Returns:
        Disjoint rows.
    """
    mine = generator.permutation(rows(store, [speaker], lambda label: label == keyword))
    others = generator.permutation(rows(store, [speaker], lambda label: label != keyword))
    half = len(others) // 2
    return Cast(
        mine[:shots], mine[shots : shots + heard], mine[shots + heard :], others[:half], others[half:]
    )


def rows(store: ClipStore, speakers: Sequence[str], wanted: object) -> NDArray[np.int64]:
    """Gives the rows of clips by some speakers whose label passes a test."""
    names = set(speakers)
    test = wanted if callable(wanted) else (lambda _label: True)
    return np.array(
        [
            i
            for i, clip in enumerate(store.clips)
            if clip.speaker in names and clip.label not in RESERVED_LABELS and test(clip.label)
        ],
        dtype=np.int64,
    )


def spoken(
    store: ClipStore,
    utterances: Sequence[tuple[int, str]],
    generator: np.random.Generator,
    *,
    gap_s: tuple[float, float] = (0.4, 1.6),
    noise: Samples | None = None,
    snr_db: float = 0.0,
) -> Stream:
    """Lets clips be said one after the other, at varying levels, over a quiet room or a noise.

    Args:
        store: the clips.
        utterances: rows and kinds, in order.
        generator: draws levels and pauses.
        gap_s: shortest and longest pause.
        noise: to be heard all the time, repeated; None for a quiet room.
        snr_db: level of the speech over the noise, before its own variation.

    Returns:
        The stream and its truth.
    """
    parts: list[Samples] = [np.zeros(round(EDGE_S * RATE_HZ), np.float32)]
    said, at = [], len(parts[0])
    for row, kind in utterances:
        clip = leveled(as_float(store.audio(row))) * np.float32(
            10 ** (generator.uniform(-LEVEL_DB, LEVEL_DB) / 20)
        )
        said.append(Said(row, at / RATE_HZ, (at + len(clip)) / RATE_HZ, kind))
        pause = np.zeros(round(generator.uniform(*gap_s) * RATE_HZ), np.float32)
        parts += [clip, pause]
        at += len(clip) + len(pause)
    parts.append(np.zeros(round(EDGE_S * RATE_HZ), np.float32))
    samples = np.concatenate(parts)
    samples += surroundings(len(samples), generator, noise, snr_db)
    return Stream(samples.clip(-1.0, 1.0), said)


def surroundings(count: int, generator: np.random.Generator, noise: Samples | None, snr_db: float) -> Samples:
    """Makes so many samples of a quiet room, and of a noise that is repeated, from anywhere in it."""
    room = (QUIET * generator.standard_normal(count)).astype(np.float32)
    if noise is None:
        return room
    factor = LEVEL / float(np.sqrt(np.mean(np.square(noise)))) * 10 ** (-snr_db / 20)
    start = int(generator.integers(len(noise)))
    repeated = np.resize(np.roll(noise, -start), count)
    return room + (factor * repeated).astype(np.float32)


def leveled(samples: Samples) -> Samples:
    """Brings the louder half of a clip to the usual level."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    power = np.sort(np.square(frames).mean(axis=1))[len(frames) // 2 :].mean()
    return samples * np.float32(LEVEL / np.sqrt(power + 1e-12))
