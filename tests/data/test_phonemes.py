from __future__ import annotations

import pytest

from kwsctl.data.phonemes import distance, nearest_part, phonemize, sounds


def test_homophones_have_equal_sounds() -> None:
    assert sounds("hay snap dragon") == sounds("Hey, snapdragon!")
    assert sounds("their") == sounds("there")


def test_accents_differ() -> None:
    assert sounds("jar", "us") != sounds("jar", "gb")


def test_each_sentence_is_phonemized_alone() -> None:
    assert len(phonemize("The cat sat. The dog ran.")) == 2


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", 0.0),
        ("kæt", "kæt", 0.0),
        ("kæt", "kæd", 0.5),  # alike
        ("kæt", "kæl", 1.0),
        ("kæt", "kæ", 1.0),
        ("kætə", "kæt", 0.5),  # a weak vowel
        ("", "kæt", 3.0),
        ("kæt", "kt", 1.0),
    ],
)
def test_distance_by_hand(first: str, second: str, expected: float) -> None:
    assert distance(first, second) == expected
    assert distance(second, first) == expected


def test_nearest_part_ignores_what_is_around() -> None:
    assert nearest_part("kæt", "ðəkætsæt") == 0.0
    assert nearest_part("kæt", "ðəkædsæt") == 0.5
    assert nearest_part("kæt", "") == 3.0


def test_nearest_part_is_the_least_distance_to_any_part() -> None:
    needle, haystack = "snæpt", "əsnokpdmæts"
    parts = [haystack[i:j] for i in range(len(haystack) + 1) for j in range(i, len(haystack) + 1)]
    assert nearest_part(needle, haystack) == min(distance(needle, part) for part in parts)
