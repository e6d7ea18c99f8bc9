"""What an epoch is made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kwsctl.data.windows import Windows
from kwsctl.learning.sampling import Sampler, Shares
from kwsctl.learning.task import Problem


def problem(target: list[int], task: str, labels: tuple[str, ...], keywords: tuple[str, ...]) -> Problem:
    index = np.arange(len(target))
    windows = Windows(index, np.zeros_like(index), np.array(target), 16_000)
    return Problem(task, labels, keywords, 1.0, windows, windows, index[:0], (), "")


@pytest.fixture
def words() -> Problem:
    target = [0] * 40 + [1] * 60 + [2] * 500 + [3] * 50
    return problem(target, "keywords", ("a", "b", "_unknown_", "_silence_"), ("a", "b"))


def rows_of(sampler: Sampler, seed: int = 0) -> torch.Tensor:
    return torch.cat(list(sampler.epoch(torch.Generator().manual_seed(seed))))


def test_every_keyword_is_heard_once_and_others_by_their_share(words: Problem) -> None:
    sampler = Sampler(words, Shares(unknown=0.3, silence=0.1), 25)
    rows = rows_of(sampler)
    assert sorted(rows[rows < 100].tolist()) == list(range(100))
    assert int((sampler.target[rows] == 2).sum()) == 30
    assert int((sampler.target[rows] == 3).sum()) == 10
    assert sampler.steps == len(list(sampler.epoch(torch.Generator()))) == 6


def test_a_wake_word_fills_its_share_by_repeating(words: Problem) -> None:
    wake = dataclasses.replace(
        words,
        task="wake",
        labels=("a",),
        keywords=("a",),
        train=problem([0] * 40 + [-1] * 900, "wake", (), ()).train,
    )
    sampler = Sampler(wake, Shares(positive=0.25, least_windows=400), 50)
    rows = rows_of(sampler)
    positives = rows[rows < 40]
    assert (len(rows), len(positives)) == (400, 100)
    assert set(torch.bincount(positives).tolist()) == {2, 3}


def test_what_was_taken_for_a_keyword_is_drawn_more_often(words: Problem) -> None:
    sampler = Sampler(words, Shares(unknown=0.5), 50)
    unknown = torch.arange(100, 600)
    scores = torch.zeros(500, 4)
    scores[:25, 1] = 0.9  # taken for "b"
    scores[25:, 2] = 0.9  # rightly taken for unknown: not hard
    sampler.hardness[unknown] = sampler.hardness_of(scores)
    drawn = rows_of(sampler)
    hard = int(((drawn >= 100) & (drawn < 125)).sum())
    assert hard >= 10  # 2.5 if drawn evenly


def test_a_single_left_over_window_is_no_batch() -> None:
    one_over = problem([0] * 51, "keywords", ("a",), ("a",))
    sampler = Sampler(one_over, Shares(), 50)
    assert [len(rows) for rows in sampler.epoch(torch.Generator())] == [50]
    assert sampler.steps == 1
