"""Thousands of distinct words in many synthetic voices: what an encoder for words it has never heard needs.

An encoder that was trained on forty words tells those forty apart and little else; what it lacks is
vocabulary, not size. Here English voices say everyday words and pairs of them, and the voices of other
languages read invented words, many of which differ in one syllable only. `val` holds other words by
other voices, so that what is measured there is what a new word by a new speaker gets.

Synthetic speech is a start, not evidence, see the recipe `synthetic`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kwsctl.data import manifest, script, speaking
from kwsctl.data.sources import Source
from kwsctl.data.spoken_words import WORDS
from kwsctl.data.voices._utterance import Speaker
from kwsctl.errors import ExtensionError, InputError
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import Clip

SOURCES: tuple[Source, ...] = ()
SUMMARY = "synthetic voices of many languages say thousands of different words; to train an encoder on"
LICENCE = (
    "Synthetic speech, not evidence about real people. Voices: hibari (Apache-2.0), SVOX Pico (Apache-2.0); "
    "espeak-ng is a GPL-3.0-or-later program whose output is free to use"
)
CITATION = (
    "hibari, M. Williams 2025; SVOX Pico, SVOX AG 2008-2009, by py-nanotts; "
    "espeak-ng, J. Duddington, R. H. Dunn and contributors"
)

QUICK = ("espeak", "nanotts", "hibari")
ENGLISH = "en"
# Languages whose letters are read as they are written, with sounds that English lacks.
LANGUAGES = ("es", "it", "de", "fr", "pl", "tr", "fi", "pt", "nl", "hu", "id", "sw")
_VARIANTS = (
    "f1", "m1", "f2", "m2", "f3", "klatt2", "f5", "m6", "edward", "caleb", "adam", "klatt3",
)  # fmt: skip
_MANNERS = ((1.0, 1.0), (1.12, 1.08), (0.88, 0.93))
_ONSETS = (
    "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "j", "br", "dr", "fl", "gr",
    "kl", "kr", "pl", "pr", "sk", "sl", "sp", "st", "tr", "bl", "fr", "t", "k", "m", "n", "s", "l", "r",
)  # fmt: skip
_NUCLEI = (*"aeiou", *"aeiou", "a", "i", "o", "ai", "au", "ia", "io", "ei", "ua")
_CODAS = (*[""] * 9, *"nrslmktnrs")
_VAL_SHARE = 0.08
_PAIR_SHARE = 0.15


@dataclass(frozen=True)
class Options:
    """What is spoken.

    Attributes:
        words: how many English words and pairs of words.
        invented: how many invented words, shared out over the languages.
        takes: clips of each, every one by another voice if there are enough.
        engines: of `espeak`, `nanotts` and `hibari`.
        languages: whose voices read invented words.
        seed: of everything that is drawn.
    """

    words: int = 2000
    invented: int = 2000
    takes: int = 10
    engines: tuple[str, ...] = QUICK
    languages: tuple[str, ...] = LANGUAGES
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"words": 0, "invented": 0, "takes": 2}.items():
            if getattr(self, name) < least:
                raise InputError(f"The option {name} is {getattr(self, name)}.", f"Give {least} or more.")
        for language in self.languages:
            if language not in LANGUAGES:
                raise InputError(f"No voices for {language!r}.", f"Known: {', '.join(LANGUAGES)}.")


def clips(root: Path, options: Options | None = None) -> Iterator[Clip]:
    """Lists what `obtain` has spoken into a folder.

    Args:
        root: the folder.
        options: as given to `obtain`.

    Yields:
        Clips; the label of an invented word begins with its language, as in `es:karota`.

    Raises:
        InputError: nothing has been spoken there with these options.
    """
    index = _index(root, options or Options())
    if not index.is_file():
        raise InputError(
            f"Nothing has been spoken into {root} with these options.", "Type: kwsctl data prepare vocabulary"
        )
    yield from manifest.read(index)


def obtain(root: Path, options: Options | None = None, progress: Progress = silent) -> Path:
    """Speaks what is not in the folder yet; a killed run goes on where it was.

    Args:
        root: the folder.
        options: what to speak.
        progress: counts clips.

    Returns:
        `root`.

    Raises:
        ExtensionError: none of the engines can speak here.
    """
    options = options or Options()
    missing = speaking.missing(options.engines)
    engines = [name for name, reason in missing.items() if not reason]
    if not engines:
        raise ExtensionError("No voice can speak here.", " ".join(missing.values()))
    lines = [
        line
        for language, texts in _texts(options).items()
        if (voices := _voices(language, engines))
        for line in _lines(language, texts, voices, options)
    ]
    spoken = speaking.speak([line.utterance for line in lines], root / "cache", progress=progress)
    kept = [
        Clip(said.path, line.label, line.utterance.speaker.id, line.split)
        for line, said in zip(lines, spoken, strict=True)
        if not said.rejected
    ]
    manifest.write(_index(root, options), kept)
    return root


def _index(root: Path, options: Options) -> Path:
    """Names the manifest of one corpus in the folder."""
    digest = hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()
    return root / f"corpus-{digest[:12]}.csv"


def _texts(options: Options) -> Mapping[str, list[str]]:
    """Draws the words of every language."""
    draw = numpy_generator(options.seed, "vocabulary")
    n_pairs = round(options.words * _PAIR_SHARE)
    singles = [WORDS[i] for i in draw.permutation(len(WORDS))[: options.words - n_pairs]]
    pairs = [" ".join(draw.choice(WORDS, 2, replace=False)) for _ in range(n_pairs)]
    texts = {ENGLISH: list(dict.fromkeys([*singles, *pairs]))}
    each = -(-options.invented // max(1, len(options.languages)))
    for language in options.languages:
        texts[language] = invent(each, numpy_generator(options.seed, "invented", language))
    return texts


def invent(count: int, draw: np.random.Generator) -> list[str]:
    """Makes up words of two to four syllables; every other one differs from an earlier one in a syllable.

    Args:
        count: how many.
        draw: draws everything.

    Returns:
        Different words.
    """
    made: dict[str, list[str]] = {}
    while len(made) < count:
        if made and draw.random() < 0.5:
            syllables = list(made[list(made)[int(draw.integers(len(made)))]])
            syllables[int(draw.integers(len(syllables)))] = _syllable(draw)
        else:
            syllables = [_syllable(draw) for _ in range(int(draw.integers(2, 5)))]
        made.setdefault("".join(syllables), syllables)
    return list(made)


def _syllable(draw: np.random.Generator) -> str:
    return "".join(str(draw.choice(part)) for part in (_ONSETS, _NUCLEI, _CODAS))


def _voices(language: str, engines: Sequence[str]) -> list[Speaker]:
    """Lists who speaks a language: for others than English, espeak alone."""
    if language == ENGLISH:
        return [speaker for name in engines for speaker in speaking.speakers(name)]
    if "espeak" not in engines:
        return []
    return [
        Speaker("espeak", f"{language}+{variant}", *_MANNERS[i % len(_MANNERS)])
        for i, variant in enumerate(_VARIANTS)
    ]


def _lines(
    language: str, texts: Sequence[str], voices: Sequence[Speaker], options: Options
) -> Iterator[script.Line]:
    """Yields who says each text: of held-out texts, held-out voices."""
    draw = numpy_generator(options.seed, "voices", language)
    order = draw.permutation(len(voices))
    n_held_out = max(2, round(2 * _VAL_SHARE * len(voices)))
    held_out, others = order[:n_held_out], order[n_held_out:]
    n_val = round(_VAL_SHARE * len(texts))
    for i, text in enumerate(texts):
        split, pool = ("val", held_out) if i < n_val else ("train", others)
        label = text if language == ENGLISH else f"{language}:{text}"
        turns = [draw.permutation(pool) for _ in range(-(-options.takes // len(pool)))]
        for take, who in enumerate(np.concatenate(turns)[: options.takes]):
            yield script.Line(script.say(voices[int(who)], text, take, options.seed), label, split)
