"""Trains an encoder for words and speakers that it has never heard (`--objective`).

What a bundle keeps of it are the two embeddings; the directions of the training words and speakers, which
only training needs, are dropped with the trainee.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl import registry
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import Windows, cut, usual_length_s
from kwsctl.errors import InputError
from kwsctl.learning.loop import Batch, Judge, Judged
from kwsctl.learning.objectives import softmax
from kwsctl.types import BACKGROUND, SILENCE, UNKNOWN

OBJECTIVES = "kwsctl.learning.objectives"
FIRST_SCALE, LARGEST_SCALE = 16.0, 64.0
CLIPS_PER_WORD = 2  # in a batch
PLACED_AT_ONCE = 512


class Trainee(nn.Module):
    """A network with what training it as an encoder needs besides.

    Attributes:
        network: from `models/`.
        words: [V, E] a direction for each word of the training set.
        voices: [P, S] one for each speaker; absent where the network has no speaker embedding.
        log_scale: of cosines.

    Args:
        network: from `models/`.
        n_words: V.
        n_speakers: P.
    """

    def __init__(self, network: nn.Module, n_words: int, n_speakers: int) -> None:
        super().__init__()
        self.network = network
        size = cast(int, network.embedding_size)
        self.words = nn.Parameter(fn.normalize(torch.randn(n_words, size), dim=1))
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.has_voice = hasattr(network, "both") and n_speakers > 1
        if self.has_voice:
            size = cast(int, network.speaker_size)
            self.voices = nn.Parameter(fn.normalize(torch.randn(n_speakers, size), dim=1))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with."""
        return self.log_scale.exp().clamp_max(LARGEST_SCALE)

    def forward(self, x: Tensor) -> Any:
        """Maps features [B, F, T] to word [B, E] and, in training, speaker embeddings [B, S]."""
        if self.training and self.has_voice:
            return cast(Any, self.network).both(x)
        word = fn.normalize(cast(Any, self.network).embed(x), dim=1)
        return (word, None) if self.training else word

    def place(self, target: Tensor, speaker: Tensor, features: Callable[[Tensor], Tensor]) -> None:
        """Begins the directions of words and speakers where the network, which is trained, has them.

        Random ones would first pull a good network apart.

        Args:
            target: [M] index of the word of each window, -1 for none.
            speaker: [M] index of its speaker, -1 where not known.
            features: gives the features [B, F, T] of rows [B].
        """
        words = torch.zeros_like(self.words)
        voices = torch.zeros_like(self.voices) if self.has_voice else words
        self.eval()
        with torch.no_grad():
            for rows in torch.split(torch.nonzero(target >= 0)[:, 0], PLACED_AT_ONCE):
                x = features(rows)
                word, voice = cast(Any, self.network).both(x) if self.has_voice else (self(x), None)
                words.index_add_(0, target[rows].to(x.device), word)
                if voice is not None:
                    known = speaker[rows] >= 0
                    voices.index_add_(0, speaker[rows][known].to(x.device), voice[known.to(x.device)])
            _turn(self.words, words)
            if self.has_voice:
                _turn(self.voices, voices)
        self.train()

    def network_of(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keeps the weights of the network alone."""
        prefix = "network."
        return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _turn(directions: Tensor, sums: Tensor) -> None:
    """Turns directions [N, E] to sums [N, E] of embeddings; those of which there are none stay."""
    some = sums.norm(dim=1) > 0
    directions[some] = fn.normalize(sums[some], dim=1)


def judge(trainee: Trainee, objective: str, speaker: Tensor, speaker_weight: float) -> Judge:
    """Makes the judge of a trainee.

    Args:
        trainee: holds the directions of words and speakers.
        objective: file in `learning/objectives/`.
        speaker: [M] index of the speaker of each window of the training set, -1 where not known.
        speaker_weight: of the speaker's loss beside the word's.

    Returns:
        A judge of what the trainee gives.
    """
    word_loss = registry.load(OBJECTIVES, objective).loss

    def judge_batch(output: tuple[Tensor, Tensor | None], batch: Batch) -> Judged:
        word, voice = output
        value, right = word_loss(word.float(), batch.target, trainee.words, trainee.scale)
        if voice is not None and speaker_weight > 0:
            who = speaker[batch.rows].to(voice.device)
            value = (
                value + speaker_weight * softmax.loss(voice.float(), who, trainee.voices, trainee.scale)[0]
            )
        return Judged(value, right)

    return judge_batch


def windows_of_words(
    store: ClipStore, train: NDArray[np.int64], val: NDArray[np.int64], clip_s: float | None
) -> tuple[Windows, Windows, float]:
    """Cuts windows whose targets are words; `val` has words of its own.

    Running speech and clips of unknown words have no word to be named by; where their speaker is known, each
    stretch of them is a word of its own, to be found again however it is altered (in `train` only).

    Args:
        store: the audio.
        train: clips to learn from.
        val: held-out clips.
        clip_s: length of a window, in s; by default what nearly all words need.

    Returns:
        Windows to learn from, held-out windows, and their length in s.

    Raises:
        InputError: fewer than two words.
    """
    named = [i for i in train if _is_word(store.clips[i].label)]
    words = sorted({store.clips[i].label for i in named})
    if len(words) < 2:
        raise InputError(
            f"The data has {len(words)} words, an encoder is trained on many.",
            "Type: kwsctl data prepare vocabulary",
        )
    length_s = usual_length_s(store, np.array(named)) if clip_s is None else clip_s
    of_words = cut(store, train, {word: i for i, word in enumerate(words)}, frozenset(words), length_s)
    clips = [store.clips[i] for i in of_words.clip]
    is_word = np.array([_is_word(clip.label) for clip in clips])
    is_speech = np.array([c.label in (BACKGROUND, UNKNOWN) and c.speaker is not None for c in clips])
    apart = is_speech & (np.arange(len(clips)) % 2 == 0)  # windows overlap by half
    of_words.target[apart] = len(words) + np.arange(apart.sum())
    # Noise stays in the list, with the target -1, to be mixed in.
    kept = np.flatnonzero(is_word | apart | ~is_speech)
    held_out = [i for i in val if _is_word(store.clips[i].label)]
    theirs = sorted({store.clips[i].label for i in held_out})
    target_of = {word: i for i, word in enumerate(theirs)}
    return (
        of_words.take(kept),
        cut(store, np.array(held_out, dtype=np.int64), target_of, frozenset(theirs), length_s),
        length_s,
    )


def speaker_indices(store: ClipStore, windows: Windows, speakers: Sequence[str]) -> Tensor:
    """Gives the [M] index of the speaker of each window, -1 where not known."""
    index = {name: i for i, name in enumerate(speakers)}
    return torch.tensor([index.get(store.clips[i].speaker or "", -1) for i in windows.clip])


class WordSampler:
    """Draws batches in which every word is there at least twice.

    Attributes:
        target: [M] index of the word, -1 for noise, which is never drawn.
        hardness: not used; kept with the checkpoint.

    Args:
        target: [M].
        batch_size: B.
    """

    def __init__(self, target: Tensor, batch_size: int) -> None:
        self.target = target
        self.hardness = torch.ones(len(target))
        self._groups_per_batch = max(2, batch_size // CLIPS_PER_WORD)
        rows = torch.nonzero(target >= 0)[:, 0]
        order = torch.argsort(target[rows], stable=True)
        _, counts = torch.unique(target[rows], return_counts=True)
        self._rows_of = torch.split(rows[order], counts.tolist())

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        groups = sum(-(-len(rows) // CLIPS_PER_WORD) for rows in self._rows_of)
        return max(1, groups // self._groups_per_batch)

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Draws the rows of each batch of an epoch."""
        groups = []
        for rows in self._rows_of:
            mixed = rows[torch.randperm(len(rows), generator=generator)]
            missing = -len(rows) % CLIPS_PER_WORD
            groups.append(torch.cat([mixed, mixed[:1].expand(missing)]).view(-1, CLIPS_PER_WORD))
        everything = torch.cat(groups)
        shuffled = everything[torch.randperm(len(everything), generator=generator)]
        batches = torch.split(shuffled, self._groups_per_batch)
        return (batch.flatten() for batch in batches[: self.steps])


def _is_word(label: str) -> bool:
    return label not in (BACKGROUND, UNKNOWN, SILENCE)
