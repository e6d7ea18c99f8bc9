"""What three clips of a held-out word find, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.learning.validation import compare_by, few_shot


def at(*degrees: float) -> Tensor:
    angle = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angle.cos(), angle.sin()], 1)


def test_words_apart_are_all_found() -> None:
    found = few_shot(at(0, 1, 2, 3, 4, 90, 91, 92, 93, 94), torch.tensor([0] * 5 + [1] * 5))
    assert found == {"found_at_far_1pct": 1.0, "equal_error_rate": 0.0}


def test_the_figures_of_a_case_by_hand() -> None:
    # Word 0 is enrolled at 0 degrees and asked for at 10 and 50; word 1, at 20, 60 and 70, has too few clips
    # to enrol any.
    embedding = at(-1, 0, 1, 10, 50, 20, 60, 70)
    found = few_shot(embedding, torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]))
    assert found["found_at_far_1pct"] == pytest.approx(0.5)
    # Up to 20 degrees one stranger of three passes and one call of two is missed.
    assert found["equal_error_rate"] == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_the_equal_error_rate_is_found_between_the_corners_of_the_curve() -> None:
    # 6 calls of 10 are nearest, then come 8 strangers of 10 in a row, then the other calls.
    calls, strangers = [5.0] * 6 + [60.0] * 4, [20.0 + i for i in range(8)] + [80.0, 85.0]
    embedding = at(0, 0, 0, *calls, *strangers)
    # Every stranger is a word of its own, of which nothing can be enrolled.
    found = few_shot(embedding, torch.tensor([0] * 13 + list(range(1, 11))))
    assert found["equal_error_rate"] == pytest.approx(0.4)
    assert found["found_at_far_1pct"] == pytest.approx(0.6)


def test_clips_that_enrol_are_not_asked_for() -> None:
    # All clips that enrol would be found, the only other one is not.
    found = few_shot(at(0, 0, 0, 90, 45), torch.tensor([0, 0, 0, 0, 1]))
    assert found["found_at_far_1pct"] == 0.0


def test_without_a_fourth_clip_there_is_no_figure() -> None:
    found = few_shot(at(0, 1, 2, 90), torch.tensor([0, 0, 0, 1]))
    assert math.isnan(found["found_at_far_1pct"])
    assert compare_by("encode", at(0, 1, 2, 90), torch.tensor([0, 0, 0, 1])).keys() == {"found_at_far_1pct"}


@pytest.mark.parametrize("digits", [1, 6])  # with one digit, many scores are the same
@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_the_figures_are_those_of_the_whole_curve(digits: int, spread: float) -> None:
    draw = torch.Generator().manual_seed(3)
    target = torch.arange(30).repeat_interleave(7)
    centres = torch.randn(30, 4, generator=draw)
    embedding = fn.normalize(centres[target] + spread * torch.randn(210, 4, generator=draw), dim=1)
    embedding = (embedding * 10**digits).round() / 10**digits
    scores, wanted = [], []
    for word in range(30):
        prototype = fn.normalize(embedding[word * 7 : word * 7 + 3].mean(0), dim=0)
        asked = np.delete(np.arange(210), np.arange(word * 7, word * 7 + 3))
        scores.append((embedding @ prototype)[asked])
        wanted.append(target[asked] == word)
    passed, found, _ = roc_curve(torch.cat(wanted), torch.cat(scores), drop_intermediate=False)
    crossing = np.argmin(np.abs(passed - (1 - found)))
    figures = few_shot(embedding, target)
    assert figures["found_at_far_1pct"] == pytest.approx(found[passed <= 0.01].max())
    assert figures["equal_error_rate"] == pytest.approx((passed[crossing] + 1 - found[crossing]) / 2)
