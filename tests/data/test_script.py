from __future__ import annotations

import functools
from collections import Counter

import pytest

from kwsctl.data import script
from kwsctl.data.phrases import sounds_like
from kwsctl.data.script import Amount, Line
from kwsctl.data.voices._utterance import Speaker
from kwsctl.types import BACKGROUND, UNKNOWN

SPEAKERS = [Speaker("hibari", f"v{i}") for i in range(8)]
PHRASE = "open sesame"
SOME, MORE = Amount(2, 3, 2, 1), Amount(4, 30, 20, 10)


@functools.cache
def written(amount: Amount = SOME, seed: int = 0) -> list[Line]:
    return script.write(
        script.cast(SPEAKERS, seed),
        {"hibari": amount},
        (PHRASE,),
        background_min=1,
        talkers=["hibari"],
        seed=seed,
    )


@pytest.mark.parametrize("count", [3, 4, 9, 54])
def test_every_split_has_speakers_of_the_engine(count: int) -> None:
    splits = script.cast([Speaker("kokoro", str(i)) for i in range(count)], seed=1)
    assert len(splits) == count
    held = Counter(splits.values())
    assert set(held) == {"train", "val", "test"}
    assert held["train"] == max(held.values())


def test_a_larger_script_holds_the_smaller_one() -> None:
    assert set(written(SOME)) < set(written(MORE))


def test_another_engine_changes_nothing_for_the_first() -> None:
    others = [Speaker("nanotts", f"v{i}") for i in range(4)]
    both = script.write(
        script.cast(SPEAKERS, 0) | script.cast(others, 0),
        {"hibari": SOME, "nanotts": Amount(1, 1, 1, 1)},
        (PHRASE,),
        background_min=1,
        talkers=["hibari"],
        seed=0,
    )
    assert [line for line in both if line.utterance.speaker.engine == "hibari"] == written()


def test_another_seed_is_another_script() -> None:
    assert not set(written()) & set(written(seed=1))


def test_nothing_is_said_twice_and_amounts_are_kept() -> None:
    lines = written()
    assert len({line.utterance for line in lines}) == len(lines)
    for speaker, split in script.cast(SPEAKERS, 0).items():
        mine = Counter(line.label for line in lines if line.utterance.speaker == speaker)
        assert mine[PHRASE] == 2 + {"train": 0, "val": 1, "test": 2}[split]
        assert mine[UNKNOWN] == 3 + 2 + 1


def test_negatives_do_not_hold_the_phrase() -> None:
    texts = [line.utterance.text for line in written(MORE) if line.label != PHRASE]
    assert len(texts) > 400
    assert not [text for text in texts if sounds_like(text, PHRASE)]


def test_running_speech_is_by_speakers_of_the_split() -> None:
    splits = script.cast(SPEAKERS, 0)
    passages = [line for line in written() if line.label == BACKGROUND]
    assert all(splits[line.utterance.speaker] == line.split for line in passages)
    characters = Counter[str]()
    for line in passages:
        characters[line.split] += len(line.utterance.text)
    assert characters["test"] == pytest.approx(2 * 60 * 14, rel=0.3)
    assert characters["val"] == pytest.approx(60 * 14, rel=0.3)
