from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.data.splitting import assign_splits, split_by_speaker
from kwsctl.errors import InputError
from kwsctl.types import Clip


@pytest.mark.parametrize(
    ("names", "train", "val", "test"),
    [(0, 0, 0, 0), (1, 1, 0, 0), (2, 1, 0, 1), (3, 1, 1, 1), (10, 8, 1, 1), (11, 7, 2, 2), (100, 80, 10, 10)],
)
def test_shares_are_filled_by_count(names: int, train: int, val: int, test: int) -> None:
    found = Counter(assign_splits(f"p{i}" for i in range(names)).values())
    assert (found["train"], found["val"], found["test"]) == (train, val, test)


def test_shares_may_be_zero() -> None:
    assert set(assign_splits("abcdef", val_share=0, test_share=0).values()) == {"train"}
    assert Counter(assign_splits("abcdef", val_share=0.5, test_share=0).values()) == {"train": 3, "val": 3}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0, 1), (0.9, 0.2)])
def test_shares_that_leave_nothing_to_train_with_are_refused(val: float, test: float) -> None:
    with pytest.raises(InputError, match="leaves nothing to train with"):
        assign_splits("abc", val_share=val, test_share=test)


@given(st.lists(st.text(max_size=5), min_size=3, max_size=30, unique=True))
def test_order_and_repeats_do_not_matter(names: list[str]) -> None:
    assert assign_splits(names) == assign_splits([*reversed(names), *names])


def test_the_alphabet_does_not_decide() -> None:
    found = assign_splits(f"{i:03}" for i in range(200))
    held_out = [int(name) for name, split in found.items() if split != "train"]
    assert min(held_out) < 40
    assert max(held_out) > 160


def test_clips_follow_their_speaker_and_files_without_one_are_shared_out() -> None:
    clips = [Clip(Path(f"{s}{k}.wav"), "yes", s) for s in "abcde" for k in range(3)]
    noises = [Clip(Path(f"n{k}.wav"), "_background_") for k in range(10)]
    found = split_by_speaker(clips + noises)
    assert [clip.path for clip in found] == [clip.path for clip in clips + noises]
    assert all(len({c.split for c in found if c.speaker == s}) == 1 for s in "abcde")
    assert Counter(c.split for c in found if c.speaker is None) == {"train": 8, "val": 1, "test": 1}
