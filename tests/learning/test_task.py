"""What is learned from a store: labels, targets, windows, and who is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning.task import pose
from kwsctl.types import Clip

RATE = 16_000


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., ClipStore]:
    def make(*rows: tuple[str, str | None, str, float]) -> ClipStore:
        clips = tuple(
            Clip(Path(f"{i}.wav"), label, who, split) for i, (label, who, split, _) in enumerate(rows)
        )
        lengths = [round(seconds * RATE) for *_, seconds in rows]
        noise = np.random.default_rng(0).normal(0, 1000, sum(lengths)).astype(np.int16)
        return ClipStore(clips, (), RATE, noise, np.cumsum([0, *lengths]), tmp_path)

    return make


def test_several_words_are_a_keyword_set_with_classes_for_everything_else(store_of) -> None:
    store = store_of(
        ("yes", "a", "train", 1.0),
        ("no", "a", "train", 1.0),
        ("_unknown_", "b", "train", 1.0),
        ("_background_", None, "train", 4.0),
        ("yes", "c", "val", 1.0),
    )
    problem = pose(store)
    assert (problem.task, problem.labels) == ("keywords", ("no", "yes", "_unknown_", "_silence_"))
    assert problem.train.target.tolist() == [1, 0, 2, *[3] * 7]  # 4 s in windows of 1 s every 0.5 s
    assert problem.background.tolist() == list(range(3, 10))
    assert problem.speakers == ("a", "b")
    assert problem.held_out == "the manifest's split 'val'"


def test_a_single_word_is_a_wake_word(store_of) -> None:
    store = store_of(("hey", "a", "train", 1.0), ("_unknown_", "b", "train", 1.0), ("hey", "c", "val", 1.0))
    problem = pose(store)
    assert (problem.task, problem.labels) == ("wake", ("hey",))
    assert problem.train.target.tolist() == [0, -1]


def test_words_that_are_not_wanted_become_unknown(store_of) -> None:
    store = store_of(("yes", "a", "train", 1.0), ("no", "a", "train", 1.0), ("up", "b", "val", 1.0))
    problem = pose(store, task="keywords", keywords=["yes"])
    assert problem.labels == ("yes", "_unknown_")
    assert problem.val.target.tolist() == [1]


def test_without_a_val_split_whole_speakers_are_held_out(store_of) -> None:
    rows = [(word, f"speaker{i}", "train", 1.0) for i in range(30) for word in ("yes", "no")]
    problem = pose(store_of(*rows))
    held_out = {rows[i][1] for i in problem.val.clip}
    assert 2 <= len(held_out) <= 9
    assert not held_out & set(problem.speakers)
    assert len(problem.train) + len(problem.val) == 60
    assert problem.held_out == f"{len(held_out)} speakers of the split 'train'"


def test_excluded_speakers_are_in_neither_part(store_of) -> None:
    store = store_of(("a", "x", "train", 1.0), ("b", "y", "train", 1.0), ("a", "z", "val", 1.0))
    problem = pose(store, task="keywords", exclude_speakers=["y"])
    assert problem.speakers == ("x",)
    assert problem.labels == ("a",)
    with pytest.raises(InputError, match="No clip is by the excluded speaker 'nobody'"):
        pose(store, exclude_speakers=["nobody"])


def test_a_wrong_keyword_suggests_the_nearest(store_of) -> None:
    store = store_of(("alexa", "x", "train", 1.0), ("alexa", "y", "val", 1.0))
    with pytest.raises(InputError, match=r"label 'alex'. Did you mean 'alexa'\?"):
        pose(store, keywords=["alex"])


def test_nothing_to_train_on_is_an_error(store_of) -> None:
    with pytest.raises(InputError, match="No clip is in the split 'train'"):
        pose(store_of(("alexa", "x", "test", 1.0)))
    with pytest.raises(InputError, match="No training clip has a keyword"):
        pose(store_of(("_unknown_", "x", "train", 1.0)))
