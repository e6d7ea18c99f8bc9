"""What is to be said, by whom and how: the values that every engine and the worker share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
"""Rate of everything that is written, in Hz."""
_FORMAT = 1  # count up when the same utterance would sound otherwise: cached clips are then spoken again


@dataclass(frozen=True)
class Speaker:
    """A synthetic identity: a voice of an engine with a fixed manner of speaking.

    Attributes:
        engine: name of the file in this folder.
        voice: what the engine calls the voice.
        pitch: factor on the voice's own pitch.
        formant: factor on its resonances, as a shorter (above 1) or longer vocal tract has.
    """

    engine: str
    voice: str
    pitch: float = 1.0
    formant: float = 1.0

    @property
    def id(self) -> str:
        """Names the speaker in manifests, such as `nanotts-en-GB-p115-f108`."""
        manner = "".join(
            f"-{letter}{round(100 * factor):03d}"
            for letter, factor in (("p", self.pitch), ("f", self.formant))
            if factor != 1.0
        )
        return f"{self.engine}-{self.voice}{manner}"


@dataclass(frozen=True)
class Utterance:
    """One thing to say.

    Attributes:
        speaker: who says it.
        text: the words, with the punctuation that shapes the melody.
        speed: factor on the voice's own pace.
        pitch: factor on the speaker's pitch.
        level_db: peak of the finished clip in dB of full scale, 0 or less.
        take: tells repetitions apart, where an engine can vary them.
    """

    speaker: Speaker
    text: str
    speed: float = 1.0
    pitch: float = 1.0
    level_db: float = -6.0
    take: int = 0

    def key(self, version: str) -> str:
        """Computes what the finished clip is cached under.

        Args:
            version: of the engine.

        Returns:
            16 hex digits that differ when anything differs that shapes the sound.
        """
        facts = json.dumps([_FORMAT, version, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def slug(self) -> str:
        """Shortens the text to something that reads well in a file name."""
        return re.sub(r"[^a-z0-9]+", "_", self.text.lower())[:32].strip("_")


def from_mapping(values: Mapping[str, Any]) -> Utterance:
    """Reads back what `dataclasses.asdict` made of an utterance.

    Args:
        values: the fields, with the speaker as a mapping.

    Returns:
        The utterance.
    """
    return Utterance(**{**values, "speaker": Speaker(**values["speaker"])})


def samples_of(pcm: bytes) -> NDArray[np.float32]:
    """Reads 16-bit little-endian samples.

    Args:
        pcm: two bytes a sample.

    Returns:
        [S] in [-1, 1).
    """
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


Speech = tuple[NDArray[np.float32], int]
"""Samples [S] in [-1, 1] and their rate in Hz."""
Speak = Callable[[Utterance], Speech]
"""Says an utterance; `Speaker.formant` is not the engine's business, see `_finishing`."""


class Engine(Protocol):
    """What a file in this folder offers.

    Attributes:
        DISTRIBUTION: the installed package that speaks.
        REMEDY: the command that installs it.
        LICENCE: of the voices.
        CPU_S_PER_CLIP: rough cost of a wake phrase in CPU seconds, for planning.
        WORKER_ENVIRONMENT: environment variables that its worker process needs.
    """

    DISTRIBUTION: str
    REMEDY: str
    LICENCE: str
    CPU_S_PER_CLIP: float
    WORKER_ENVIRONMENT: Mapping[str, str]

    def prepare(self) -> None:
        """Checks that the engine can speak here, fetching what its package lacks."""

    def speakers(self) -> tuple[Speaker, ...]:
        """Lists the identities it can speak as, the most different first."""

    def open_engine(self) -> Speak:
        """Loads the voices."""
