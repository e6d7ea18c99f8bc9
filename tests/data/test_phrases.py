from __future__ import annotations

import pytest

from kwsctl.data.phonemes import sounds
from kwsctl.data.phrases import confusables, label_of, safe, sounds_like
from kwsctl.data.spoken_sentences import PATTERNS, SENTENCES, SLOTS, fill
from kwsctl.data.spoken_words import WORDS
from kwsctl.errors import InputError
from kwsctl.seeding import numpy_generator

PHRASES = ("hey snapdragon", "okay computer", "open sesame", "jarvis")


@pytest.mark.parametrize("phrase", PHRASES)
def test_confusables_never_sound_like_the_phrase(phrase: str) -> None:
    found = confusables(phrase)
    assert len(found) >= 15
    for text in found:
        for accent in ("us", "gb"):
            assert sounds(phrase, accent) not in sounds(text, accent), text


@pytest.mark.parametrize("phrase", PHRASES)
def test_confusables_all_sound_different(phrase: str) -> None:
    found = confusables(phrase)
    assert len({sounds(text) for text in found}) == len(found)


def test_confusables_take_the_phrase_apart() -> None:
    found = confusables("hey snapdragon")
    assert {
        "hey snapchat",  # a near word
        "hey dragon",  # left out
        "snap the dragon",  # put in
        "dragon hey snap",  # moved
        "hello snapdragon",  # another greeting
        "dragon",  # a part
    } <= set(found)


def test_homophones_of_the_phrase_are_not_negatives() -> None:
    for text in ("hay snap dragon", "Hey, snapdragon!", "they said hey snapdragon twice", "hey snapdragons"):
        assert sounds_like(text, "hey snapdragon"), text
    for text in ("snapdragon", "hey dragon", "hey snap the dragon", "hey snapchat"):
        assert not sounds_like(text, "hey snapdragon"), text


def test_a_small_limit_has_several_kinds() -> None:
    few = confusables("okay computer", limit=5)
    assert few == confusables("okay computer")[:5]
    assert "okay" in few
    assert "computer okay" in few


def test_other_keywords_are_not_negatives() -> None:
    alone = confusables("stop")
    other = next(text for text in alone if text in WORDS)
    assert other not in confusables("stop", others=[other])


def test_a_short_phrase_leaves_enough_to_say() -> None:
    assert "goal" not in safe(WORDS, ["go"])
    assert len(safe(WORDS, ["go"])) > 0.9 * len(WORDS)
    assert len(confusables("go")) >= 5


def test_safe_drops_sentences_that_hold_the_phrase() -> None:
    texts = ("Restart the computer now.", "The train to the coast is late.", "Okay, computer, stop.")
    assert safe(texts, ["computer"]) == texts[1:2]
    assert safe(texts, ["okay computer"]) == texts[:2]


@pytest.mark.parametrize("phrase", ["Hey  SnapDragon ", "o'clock", "wake-up call"])
def test_labels_are_lower_case(phrase: str) -> None:
    assert label_of(phrase) == " ".join(phrase.lower().split())


@pytest.mark.parametrize(
    "phrase",
    [
        "",
        "   ",
        "_unknown_",
        "مرحبا",
        "héy",
        "hey 9000",
        "a",
        "x" * 61,
        "one two three four five six seven",
        "../x",
    ],
)
def test_phrases_that_cannot_be_spoken_are_refused(phrase: str) -> None:
    with pytest.raises(InputError) as caught:
        label_of(phrase)
    assert caught.value.hint


def test_the_built_in_texts_are_plenty_and_different() -> None:
    assert len(WORDS) > 1000
    assert len(set(SENTENCES)) == len(SENTENCES) > 200
    assert len(set(PATTERNS)) == len(PATTERNS) >= 40
    assert all(sentence[-1] in ".?" and sentence[0].isupper() for sentence in SENTENCES)


def test_every_pattern_can_be_filled() -> None:
    generator = numpy_generator(0, "test")
    for pattern in PATTERNS:
        filled = fill(pattern, generator)
        assert "{" not in filled
        assert filled != pattern
    assert fill(PATTERNS[0], numpy_generator(1)) == fill(PATTERNS[0], numpy_generator(1))
    assert all(SLOTS.values())
