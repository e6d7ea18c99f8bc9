"""Who says what: the script of a synthetic corpus, fixed by the phrases, the amounts and a seed.

Every line is drawn from a generator of its own name, so that a larger corpus contains the smaller
one word for word, and a further engine changes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kwsctl.data.phrases import confusables, safe
from kwsctl.data.spoken_sentences import PATTERNS, SENTENCES, fill
from kwsctl.data.spoken_words import WORDS
from kwsctl.data.voices._utterance import Speaker, Utterance
from kwsctl.seeding import numpy_generator
from kwsctl.types import BACKGROUND, UNKNOWN

MIN_SPEAKERS = 3  # of an engine: one in each split
_VAL_SHARE, _TEST_SHARE = 0.15, 0.25
_EXTRA_TAKES = {"train": 0, "val": 1, "test": 2}  # held-out figures need more clips than speakers
_N_FILLED = 300
_PASSAGE_CHARACTERS = 480
_CHARACTERS_PER_S = 14.0
_ENDINGS = (".", "", "!", ",", "?")


@dataclass(frozen=True)
class Amount:
    """Clips that each speaker says.

    Attributes:
        keyword: takes of every wake phrase; held-out speakers say one or two more.
        confusable: phrases that sound similar.
        word: single everyday words.
        sentence: sentences.
    """

    keyword: int
    confusable: int
    word: int
    sentence: int


@dataclass(frozen=True)
class Line:
    """One utterance of the script, and what it is in the corpus.

    Attributes:
        utterance: what is said.
        label: the wake phrase, `_unknown_` or `_background_`.
        split: `train`, `val` or `test`.
    """

    utterance: Utterance
    label: str
    split: str


def cast(speakers: Sequence[Speaker], seed: int) -> dict[Speaker, str]:
    """Gives each speaker of one engine a split, at random but with some in each.

    Args:
        speakers: of one engine, at least `MIN_SPEAKERS`.
        seed: of the corpus.

    Returns:
        The split of each speaker.
    """
    n_val = max(1, round(_VAL_SHARE * len(speakers)))
    n_test = max(1, round(_TEST_SHARE * len(speakers)))
    order = numpy_generator(seed, "splits", speakers[0].engine).permutation(len(speakers))
    held_out = ["val"] * n_val + ["test"] * n_test
    splits = held_out + ["train"] * (len(speakers) - len(held_out))
    return {speakers[i]: split for i, split in zip(order, splits, strict=True)}


def write(
    splits: Mapping[Speaker, str],
    amounts: Mapping[str, Amount],
    phrases: Sequence[str],
    *,
    background_min: float,
    talkers: Sequence[str],
    seed: int,
) -> list[Line]:
    """Writes the whole script.

    Args:
        splits: all speakers, see `cast`.
        amounts: what each speaker of an engine says, by name of the engine.
        phrases: wake phrases, see `phrases.label_of`.
        background_min: minutes of running speech in `train` and in `val`; `test` has twice that.
        talkers: engines that may speak the running speech.
        seed: of everything that is drawn.

    Returns:
        Lines, no utterance twice.
    """
    material = _Material(phrases, seed)
    lines = [
        Line(utterance, label, split)
        for speaker, split in splits.items()
        for utterance, label in _clips(speaker, split, amounts[speaker.engine], phrases, material, seed)
    ]
    for split in ("train", "val", "test"):
        voices = [speaker for speaker in splits if splits[speaker] == split and speaker.engine in talkers]
        minutes = background_min * (2 if split == "test" else 1)
        lines += [Line(u, BACKGROUND, split) for u in _running_speech(voices, minutes, split, material, seed)]
    return list({line.utterance: line for line in lines}.values())


class _Material:
    """The texts that speakers choose from, none of which sounds like a wake phrase."""

    def __init__(self, phrases: Sequence[str], seed: int) -> None:
        self.phrases = phrases
        self.confusables = {
            phrase: confusables(phrase, others=[p for p in phrases if p != phrase]) for phrase in phrases
        }
        self.words = safe(WORDS, phrases)
        generator = numpy_generator(seed, "patterns")
        filled = [fill(PATTERNS[i % len(PATTERNS)], generator) for i in range(_N_FILLED)]
        self.sentences = safe(dict.fromkeys([*SENTENCES, *filled]), phrases)


def _clips(
    speaker: Speaker, split: str, amount: Amount, phrases: Sequence[str], material: _Material, seed: int
) -> Iterator[tuple[Utterance, str]]:
    """Yields what one speaker says in single clips, with its label."""
    for phrase in phrases:
        for take in range(amount.keyword + _EXTRA_TAKES[split]):
            yield say(speaker, phrase, take, seed), phrase
        yield from (
            (say(speaker, text, take, seed), UNKNOWN)
            for take, text in enumerate(_pick(material.confusables[phrase], amount.confusable, speaker, seed))
        )
    for pool, count in ((material.words, amount.word), (material.sentences, amount.sentence)):
        yield from ((say(speaker, text, 0, seed), UNKNOWN) for text in _pick(pool, count, speaker, seed))


def _pick(pool: Sequence[str], count: int, speaker: Speaker, seed: int) -> list[str]:
    """Draws different texts; a larger count only adds some. Small pools are gone through again."""
    generator = numpy_generator(seed, "choice", speaker.id, len(pool))
    order: list[int] = []
    while pool and len(order) < count:
        order += generator.permutation(len(pool)).tolist()
    return [pool[i] for i in order[:count]]


def say(speaker: Speaker, text: str, take: int, seed: int) -> Utterance:
    """Draws pace, pitch, melody and level of one take.

    Args:
        speaker: who says it.
        text: what is said.
        take: tells repetitions apart.
        seed: of the corpus.

    Returns:
        The utterance, always the same one for the same arguments.
    """
    generator = numpy_generator(seed, "manner", speaker.id, text, take)
    ending = "" if text[-1] in ".?!" else str(generator.choice(_ENDINGS))
    return Utterance(
        speaker,
        text + ending,
        speed=round(generator.uniform(0.85, 1.2), 3),
        pitch=round(generator.uniform(0.95, 1.06), 3),
        level_db=round(generator.uniform(-18, -2), 1),
        take=take,
    )


def _running_speech(
    voices: Sequence[Speaker], minutes: float, split: str, material: _Material, seed: int
) -> Iterator[Utterance]:
    """Yields passages of half a minute, speaker after speaker."""
    count = round(minutes * 60 * _CHARACTERS_PER_S / _PASSAGE_CHARACTERS)
    for i in range(count if voices else 0):
        generator = numpy_generator(seed, "passage", split, i)
        text = _passage(material.sentences, generator)
        while not safe([text], material.phrases):  # the phrase across two sentences
            text = _passage(material.sentences, generator)
        yield say(voices[i % len(voices)], text, i, seed)


def _passage(sentences: Sequence[str], generator: np.random.Generator) -> str:
    text = ""
    while len(text) < _PASSAGE_CHARACTERS:
        text += str(generator.choice(sentences)) + " "
    return text.strip()
