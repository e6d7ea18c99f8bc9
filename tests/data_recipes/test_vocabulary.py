"""Thousands of words in many voices: what is drawn, who says it, and a tiny corpus that is really spoken."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files, vad
from kwsctl.data import manifest, speaking
from kwsctl.data.spoken_words import WORDS
from kwsctl.data.voices._utterance import Speaker
from kwsctl.data_recipes import vocabulary
from kwsctl.data_recipes.vocabulary import LANGUAGES, Options, clips, invent, obtain
from kwsctl.errors import ExtensionError, InputError

TINY = Options(words=14, invented=14, takes=2, engines=("espeak",), languages=("es",))


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_invented_words_are_different_and_the_same_every_time() -> None:
    words = invent(300, generator())
    assert len(words) == len(set(words)) == 300
    assert words == invent(300, generator()) != invent(300, generator(1))
    assert all(word.isalpha() and word.islower() and 3 <= len(word) <= 24 for word in words)
    assert invent(0, generator()) == []


def test_a_shorter_list_is_the_beginning_of_a_longer_one() -> None:
    assert invent(300, generator())[:40] == invent(40, generator())


def test_many_invented_words_have_a_neighbour_that_differs_in_one_place() -> None:
    words = invent(200, generator())

    def are_near(one: str, other: str) -> bool:
        shared = 0
        while shared < min(len(one), len(other)) and one[shared] == other[shared]:
            shared += 1
        rest_one, rest = one[shared:], other[shared:]
        tail = 0
        while tail < min(len(rest_one), len(rest)) and rest_one[-1 - tail] == rest[-1 - tail]:
            tail += 1
        return max(len(rest_one), len(rest)) - tail <= 4  # a syllable

    near = sum(any(are_near(word, other) for other in words if other != word) for word in words)
    assert near > 80


def lines(options: Options) -> list[tuple[str, str, str]]:
    """Label, speaker and split of all that would be spoken."""
    found = []
    for language, texts in vocabulary._texts(options).items():
        voices = [Speaker("espeak", f"{language}+{n}", 1.0, 1.0) for n in range(20)]
        for line in vocabulary._lines(language, texts, voices, options):
            found.append((line.label, line.utterance.speaker.id, line.split))
    return found


def test_val_has_other_words_by_other_voices() -> None:
    found = lines(Options(words=100, invented=120, takes=4, languages=("es", "tr")))
    of = {split: [one for one in found if one[2] == split] for split in ("train", "val", "test")}
    assert not of["test"]
    for column in (0, 1):
        assert not {one[column] for one in of["train"]} & {one[column] for one in of["val"]}
    n_words = {split: len({one[0] for one in of[split]}) for split in ("train", "val")}
    assert n_words["val"] == pytest.approx(0.08 * sum(n_words.values()), abs=2)
    assert {label[:3] for label, *_ in of["val"] if ":" in label} == {"es:", "tr:"}


def test_every_word_is_said_by_as_many_voices_as_there_are_takes() -> None:
    found = lines(Options(words=50, invented=50, takes=4, languages=("es",)))
    speakers = defaultdict(list)
    for label, speaker, _ in found:
        speakers[label].append(speaker)
    assert {len(who) for who in speakers.values()} == {4}
    train = {label for label, _, split in found if split == "train"}
    assert all(len(set(speakers[label])) == 4 for label in train)
    # Of the few held-out voices some say a word twice.
    everybody = {f"espeak-{language}+{n}" for language in ("en", "es") for n in range(20)}
    assert {speaker for _, speaker, _ in found} == everybody


def test_english_words_are_real_and_some_are_pairs() -> None:
    texts = vocabulary._texts(Options(words=200, invented=24))
    english = texts["en"]
    pairs = [text for text in english if " " in text]
    assert len(english) == len(set(english)) and 190 <= len(english) <= 200
    assert len(pairs) == pytest.approx(30, abs=2)
    assert all(word in WORDS for text in english for word in ([text] if text in WORDS else text.split()))
    assert set(texts) == {"en", *LANGUAGES} and all(len(texts[name]) == 2 for name in LANGUAGES)


def test_the_seed_draws_other_words() -> None:
    one, same, other = (vocabulary._texts(Options(words=30, invented=12, seed=seed)) for seed in (0, 0, 1))
    assert one == same
    assert set(one["en"]) != set(other["en"]) and one["es"] != other["es"]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = speaking.missing(TINY.engines)["espeak"]
    if reason:
        pytest.skip(reason)
    return obtain(tmp_path_factory.mktemp("vocabulary"), TINY)


def test_a_tiny_corpus_is_really_spoken(spoken: Path) -> None:
    found = list(clips(spoken, TINY))
    labels = {clip.label for clip in found}
    assert len(labels) >= 25 and {clip.split for clip in found} == {"train", "val"}
    assert sum(label.startswith("es:") for label in labels) >= 12
    assert Counter(Counter(clip.label for clip in found).values()).most_common(1)[0][0] == 2
    manifest.check_speakers(found, "the corpus")
    for clip in found[::7]:
        samples = files.read(clip.path, rate_hz=16_000)
        assert 0.2 < len(samples) / 16_000 < 4
        assert vad.speech_spans(samples, 16_000)


def test_spoken_twice_it_is_the_same(spoken: Path, tmp_path: Path) -> None:
    again = obtain(tmp_path, TINY)
    one, other = (
        {(c.label, c.speaker, c.split, c.path.name): c.path.read_bytes() for c in clips(root, TINY)}
        for root in (spoken, again)
    )
    assert one == other


def test_what_is_there_is_not_spoken_again(spoken: Path) -> None:
    first: list[int] = []
    before = {path: path.stat().st_mtime_ns for path in spoken.rglob("*.flac")}
    obtain(spoken, TINY, progress=lambda done, total, **_: first.append(done))
    assert first[0] == len(before)
    assert {path: path.stat().st_mtime_ns for path in spoken.rglob("*.flac")} == before


def test_clips_of_what_was_not_spoken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kwsctl data prepare vocabulary"):
        list(clips(tmp_path, dataclasses.replace(TINY, seed=1)))


def test_without_any_voice_nothing_can_be_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary.speaking, "missing", lambda names: dict.fromkeys(names, "Install it."))
    with pytest.raises(ExtensionError, match=r"No voice can speak here\. Install it\."):
        obtain(tmp_path, TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"takes": 1}, "The option takes is 1. Give 2 or more"),
        ({"words": -1}, "The option words is -1"),
        ({"languages": ("es", "xx")}, "No voices for 'xx'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Options(**options)  # type: ignore[arg-type]
