"""Clips of many people saying many words, ready to be enrolled and tested with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.audio.mixing import mix_at_snr
from kwsctl.bundle import Bundle
from kwsctl.data import noises
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.learning.enrolment_clips import Take, take
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS, Clip

NOISE_S = 30.0
Alter = Callable[[NDArray[np.float32], Clip], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class People:
    """Clips of a store, as one bundle sees them.

    Attributes:
        base: the bundle.
        takes: [N] the clips.
        words: [N] what was said.
        speakers: [N] by whom.
    """

    base: Bundle
    takes: Sequence[Take]
    words: NDArray[np.str_]
    speakers: NDArray[np.str_]

    @functools.cached_property
    def features(self) -> Tensor:
        """[N, F, T]."""
        return torch.cat(
            [
                middle(torch.stack([t.power for t in self.takes[first : first + 256]]), self.base.n_frames)
                for first in range(0, len(self.takes), 256)
            ]
        )

    @functools.cached_property
    def embeddings(self) -> Tensor:
        """[N, E] by the base."""
        return embed(self.base.model(), self.features)

    def clips(self, speaker: str, word: str, seed: int) -> NDArray[np.int64]:
        """Gives the clips of a word by a speaker, in an order that is drawn once and for all."""
        own = np.flatnonzero((self.speakers == speaker) & (self.words == word))
        return numpy_generator(seed, "order", speaker, word).permutation(own)

    def others(self, speaker: str, word: str) -> NDArray[np.int64]:
        """Gives what else a speaker says."""
        return np.flatnonzero((self.speakers == speaker) & (self.words != word))

    def impostors(self, speaker: str, word: str) -> NDArray[np.int64]:
        """Gives the clips of others who say the word."""
        return np.flatnonzero((self.speakers != speaker) & (self.words == word))

    def strangers(self, speaker: str, word: str) -> NDArray[np.int64]:
        """Gives what others say that is not the word."""
        return np.flatnonzero((self.speakers != speaker) & (self.words != word))


def gather(
    store: ClipStore,
    base: Bundle,
    speakers: Sequence[str] = (),
    progress: Progress = silent,
    *,
    alter: Alter | None = None,
) -> People:
    """Reads the words of a store.

    Args:
        store: the audio.
        base: the bundle that will hear them.
        speakers: of whom; by default of all.
        progress: counts clips.
        alter: changes the samples of every clip, if given, see `surroundings`.

    Returns:
        Their clips, without those of unknown speakers or reserved labels.

    Raises:
        InputError: fewer than two speakers, or a sample rate that is not the bundle's.
    """
    if store.rate_hz != base.features.sample_rate_hz:
        raise InputError(
            f"The clips have {store.rate_hz} Hz, the model hears {base.features.sample_rate_hz} Hz.",
            "Prepare the data at the rate of the model.",
        )
    chosen = [
        i
        for i, clip in enumerate(store.clips)
        if clip.speaker and clip.label not in RESERVED_LABELS and (not speakers or clip.speaker in speakers)
    ]
    takes = []
    for number, i in enumerate(chosen):
        clip = store.clips[i]
        samples = as_float(store.audio(i))
        samples = alter(samples, clip) if alter else samples
        takes.append(take(samples, base, clip.path, clip.sha256 or clip.id))
        progress(number + 1, len(chosen))
    names = np.array([store.clips[i].speaker for i in chosen])
    if len(set(names)) < 2:  # one person is nobody's impostor
        raise InputError("The data names fewer than two speakers.", "Give a manifest with a speaker column.")
    return People(base, takes, np.array([store.clips[i].label for i in chosen]), names)


def surroundings(snr_db: float, seed: int) -> Alter:
    """Puts every person into surroundings of their own: one kind of made noise each, at one level.

    Args:
        snr_db: loudness of the speech over the noise, in dB.
        seed: of kinds and noises.

    Returns:
        What to do with a clip.
    """

    @functools.cache
    def noise_of(speaker: str) -> NDArray[np.float32]:
        draw = numpy_generator(seed, "surroundings", speaker)
        make = noises.KINDS[str(draw.choice(sorted(noises.KINDS)))]
        return make(draw, round(NOISE_S * noises.RATE_HZ))

    def alter(samples: NDArray[np.float32], clip: Clip) -> NDArray[np.float32]:
        draw = numpy_generator(seed, "place in the noise", str(clip.path.name), clip.label)
        return mix_at_snr(samples, noise_of(str(clip.speaker)), snr_db, draw)

    return alter


def too_few_clips(words: Sequence[str], shots: int) -> InputError:
    """Gives the error that nobody says a word often enough to enrol and to test it."""
    return InputError(
        f"Nobody has more than {shots} clips of {', '.join(words[:5])}.", "Use fewer --shots, or other words."
    )
