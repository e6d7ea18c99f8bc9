"""What to say around a wake phrase: confusable phrases derived from its sound, and texts that are safe.

A text is safe as a negative if no part of it sounds like the phrase, with American or with British
pronunciation; homophones ("hay snap dragon") are therefore never negatives.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from kwsctl.data.phonemes import distance, nearest_part, sounds
from kwsctl.data.spoken_words import WORDS
from kwsctl.errors import InputError

_ACCENTS = ("us", "gb")
_MAX_CHARACTERS, _MAX_WORDS = 60, 6
_CLEAR_DISTANCE = 1.25  # more than one sound differs, or one sound and a near one
_CLEAR_SHARE = 0.2  # of a short phrase that many
_NEAR_WORDS = 6
_NEAR_SHARE = 0.7
_FILLERS = ("the", "a", "my")
_GREETINGS = ("hey", "okay", "hello", "hi")


def label_of(phrase: str) -> str:
    """Checks a wake phrase and gives its label: lower case, single spaces.

    Args:
        phrase: as the user typed it.

    Returns:
        The label.

    Raises:
        InputError: it is empty, too long, or not English letters.
    """
    label = " ".join(phrase.lower().split())
    if not re.fullmatch(r"[a-z]+(?:[ '-][a-z]+)*", label):
        raise InputError(
            f"The phrase {phrase[:_MAX_CHARACTERS]!r} cannot be spoken.",
            "The synthetic voices speak English: use words of the letters a-z, such as 'okay computer'.",
        )
    if len(label) > _MAX_CHARACTERS or len(label.split()) > _MAX_WORDS:
        raise InputError(
            f"The phrase {label[:_MAX_CHARACTERS]!r} is too long.",
            f"Use at most {_MAX_WORDS} words and {_MAX_CHARACTERS} letters; one to three words work best.",
        )
    if len(sounds(label)) < 2:
        raise InputError(
            f"The phrase {label!r} has fewer than two sounds.", "Use a word that can be told apart."
        )
    return label


def sounds_like(text: str, phrase: str) -> bool:
    """Tells whether some part of a text could be taken for the phrase by ear.

    Args:
        text: what would be said as a negative.
        phrase: the wake phrase.

    Returns:
        True if it must not be a negative.
    """
    return any(_heard_in(sounds(phrase, accent), sounds(text, accent)) for accent in _ACCENTS)


@functools.lru_cache(maxsize=20_000)
def _heard_in(target: str, text: str) -> bool:
    """Tells whether a part of `text` is nearer to `target` than a clearly different word would be."""
    clear = min(_CLEAR_DISTANCE, _CLEAR_SHARE * len(target))
    if 0.5 * sum(sound not in text for sound in target) >= clear:  # each of these costs that at least
        return False
    return nearest_part(target, text) < clear


def safe(texts: Iterable[str], phrases: Sequence[str]) -> tuple[str, ...]:
    """Keeps the texts in which none of the phrases can be heard.

    Args:
        texts: words or sentences.
        phrases: all wake phrases.

    Returns:
        Those that can be negatives, in order.
    """
    return tuple(text for text in texts if not any(sounds_like(text, phrase) for phrase in phrases))


def confusables(phrase: str, *, limit: int = 60, others: Sequence[str] = ()) -> tuple[str, ...]:
    """Derives phrases that a sloppy detector would take for the wake phrase.

    Parts of it, words left out, put in, moved, and replaced by words that sound near, also inside
    compounds ("snap the dragon"); the kinds take turns, so that a small `limit` has some of each.

    Args:
        phrase: the wake phrase, see `label_of`.
        limit: at most this many.
        others: further wake phrases that must not be heard in the result either.

    Returns:
        Safe texts, no two of which sound the same.
    """
    heard: set[str] = set()
    kept: list[str] = []
    for text in _take_turns(_kinds(phrase)):
        sound = sounds(text)
        if sound and sound not in heard:
            heard.add(sound)
            if not any(sounds_like(text, each) for each in (phrase, *others)):
                kept.append(text)
        if len(kept) == limit:
            break
    return tuple(kept)


def _kinds(phrase: str) -> list[Iterator[str]]:
    words = phrase.split()
    tokens = [part for word in words for part in _parts(word)]
    return [
        _replaced(words),
        _with_fillers(words),
        _left_out(tokens),
        _greeted(words),
        _moved(tokens),
        _replaced(tokens),
        _stretches(tokens),
        iter(_near_words(phrase, 2 * _NEAR_WORDS)),
        iter(_words_inside(phrase)),
    ]


def _take_turns(kinds: Sequence[Iterator[str]]) -> Iterator[str]:
    for turn in itertools.zip_longest(*kinds):
        yield from (text for text in turn if text is not None)


def _replaced(words: list[str]) -> Iterator[str]:
    """One word of the phrase replaced by a near one; the longest word first, nearest first."""
    by_length = sorted(range(len(words)), key=lambda i: -len(sounds(words[i])))
    options = {i: _near_words(words[i], _NEAR_WORDS) for i in by_length}
    for rank in range(_NEAR_WORDS):
        for i in by_length:
            if rank < len(options[i]):
                yield " ".join([*words[:i], options[i][rank], *words[i + 1 :]])


def _with_fillers(words: list[str]) -> Iterator[str]:
    """A compound taken apart around a filler, with and without the words before it."""
    for i, word in enumerate(words):
        for filler in _FILLERS if len(_parts(word)) > 1 else ():
            apart = f" {filler} ".join(_parts(word))
            yield apart
            yield " ".join([*words[:i], apart, *words[i + 1 :]])


def _left_out(tokens: list[str]) -> Iterator[str]:
    for i in reversed(range(len(tokens))):
        if len(tokens) > 1:
            yield " ".join(tokens[:i] + tokens[i + 1 :])


def _greeted(words: list[str]) -> Iterator[str]:
    """Another greeting before the same name, and the same greeting before another."""
    if len(words) > 1:
        yield from (" ".join([greeting, *words[1:]]) for greeting in _GREETINGS)
        yield f"{words[0]} there"


def _moved(tokens: list[str]) -> Iterator[str]:
    """Rotations, the reverse, and neighbours exchanged."""
    for i in range(1, len(tokens)):
        yield " ".join(tokens[i:] + tokens[:i])
    yield " ".join(reversed(tokens))
    for i in range(len(tokens) - 1):
        yield " ".join([*tokens[:i], tokens[i + 1], tokens[i], *tokens[i + 2 :]])


def _stretches(tokens: list[str]) -> Iterator[str]:
    """Parts of the phrase, long ones first."""
    for length in range(len(tokens) - 1, 0, -1):
        for start in range(len(tokens) - length + 1):
            yield " ".join(tokens[start : start + length])


@functools.cache
def _parts(word: str) -> tuple[str, ...]:
    """Takes a word apart where it sounds like its halves, such as snapdragon; other words stay whole."""
    whole = sounds(word)
    cuts = sorted(range(3, len(word) - 2), key=lambda i: abs(2 * i - len(word)))
    for i in cuts:
        if sounds(word[:i]) + sounds(word[i:]) == whole:
            return word[:i], word[i:]
    return (word,)


def _near_words(text: str, count: int) -> list[str]:
    """Everyday words that sound most like a text, measured by the share of sounds that differ."""
    target = sounds(text)
    ranked = sorted(
        (distance(target, sound) / max(len(target), len(sound)), word)
        for word in WORDS
        if (sound := sounds(word)) != target
    )
    return [word for share, word in ranked[:count] if share < _NEAR_SHARE]


def _words_inside(text: str) -> list[str]:
    """Everyday words that can nearly be heard within a text, such as pewter in computer; long ones first."""
    target = sounds(text)
    inside = [
        (-len(sound), word)
        for word in WORDS
        if 3 <= len(sound := sounds(word)) < len(target) and nearest_part(sound, target) < 0.2 * len(sound)
    ]
    return [word for _, word in sorted(inside)]
