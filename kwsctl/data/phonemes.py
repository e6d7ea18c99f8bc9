"""How English text sounds: phonemes with American or British pronunciation, and how near two sounds are.

The alphabet is misaki's, which Kokoro and hibari speak: one character is one phoneme, also for
diphthongs and affricates (`A` as in day, `O` as in go, `ʤ` as in jar).
"""

from __future__ import annotations

import functools
from typing import Any

_NOT_SOUNDS = frozenset(" ˈˌː;:,.!?—…\"()“”'’-")  # noqa: RUF001
_SAME = str.maketrans("ᵊɐᵻɾʔ", "əəɪtt")  # noqa: RUF001  # one sound, written with more detail
_VOWELS = frozenset("AIOQWYaæɑɒɔəɛɜɪiuʊʌ")  # noqa: RUF001
_ALIKE = "pb td kɡ fvθð sz ʃʒʧʤ mnŋ lɹw iɪ uʊ əʌɜ æaɛ ɑɔɒ OQɔ Aɛ"  # noqa: RUF001  # groups
_WEAK = "ə"  # often swallowed


def phonemize(text: str, accent: str = "us") -> list[str]:
    """Turns text into phonemes with stress marks and punctuation, one string a sentence.

    Args:
        text: English.
        accent: `us` or `gb`.

    Returns:
        A string for each sentence that has any sound.
    """
    from hibari import Hibari

    g2p = _g2p(accent)
    return [phonemes for sentence in Hibari.split_sentences(text) if (phonemes := str(g2p(sentence)))]


@functools.lru_cache(maxsize=20_000)
def sounds(text: str, accent: str = "us") -> str:
    """Turns text into bare phonemes: no stress, no pauses, no spaces.

    Args:
        text: English.
        accent: `us` or `gb`.

    Returns:
        One character a phoneme.
    """
    heard = "".join(c for part in phonemize(text, accent) for c in part if c not in _NOT_SOUNDS)
    return heard.translate(_SAME)


def distance(first: str, second: str) -> float:
    """Edit distance between bare phonemes, cheaper between sounds that are alike.

    Args:
        first: bare phonemes, see `sounds`.
        second: bare phonemes.

    Returns:
        0 for the same; 1 for a sound that is missing or clearly another.
    """
    return _edit(first, second, anywhere=False)


def nearest_part(needle: str, haystack: str) -> float:
    """Edit distance from `needle` to the part of `haystack` that is most like it (Sellers 1980).

    Args:
        needle: bare phonemes, see `sounds`.
        haystack: bare phonemes.

    Returns:
        0 if `needle` is somewhere in `haystack`.
    """
    return _edit(needle, haystack, anywhere=True)


def _edit(needle: str, haystack: str, *, anywhere: bool) -> float:
    """Fills the table of edit distances column by column; `anywhere` makes the ends of the haystack free."""
    column = [0.0]
    for sound in needle:
        column.append(column[-1] + _drop(sound))
    best = column[-1]
    for heard in haystack:
        previous, column = column, [0.0 if anywhere else column[0] + _drop(heard)]
        for i, sound in enumerate(needle):
            column.append(
                min(
                    previous[i] + _substitute(sound, heard),
                    previous[i + 1] + _drop(heard),
                    column[i] + _drop(sound),
                )
            )
        best = min(best, column[-1])
    return best if anywhere else column[-1]


def _drop(sound: str) -> float:
    return 0.5 if sound == _WEAK else 1.0


@functools.cache
def _substitute(first: str, second: str) -> float:
    if first == second:
        return 0.0
    if any(first in group and second in group for group in _ALIKE.split()):
        return 0.5
    return 1.0 if (first in _VOWELS) == (second in _VOWELS) else 1.5


@functools.cache
def _g2p(accent: str) -> Any:
    from hibari.g2p import G2P

    return G2P(british=accent == "gb")
