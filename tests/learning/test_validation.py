"""The figures that epochs are compared by."""

from __future__ import annotations

import math

import pytest
import torch

from kwsctl.learning.validation import compare_by


def test_accuracy_leaves_out_what_has_no_label() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    assert compare_by("keywords", logits, torch.tensor([0, 1, 1, -1])) == {"accuracy": pytest.approx(2 / 3)}


def test_a_wake_word_is_compared_by_how_its_clips_rank() -> None:
    logits = torch.tensor([[3.0], [1.0], [2.0], [0.0]])
    figures = compare_by("wake", logits, torch.tensor([0, 0, -1, -1]))
    assert figures["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert figures["detected_at_far_1pct"] == pytest.approx(0.5)


def test_a_word_without_clips_does_not_count_and_does_not_shift_the_others() -> None:
    logits = torch.tensor([[9.0, 3.0], [9.0, 1.0], [9.0, 2.0], [9.0, 0.0]])
    figures = compare_by("wake", logits, torch.tensor([1, 1, -1, -1]))
    assert figures["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert figures["detected_at_far_1pct"] == pytest.approx(0.5)


def test_without_any_positive_there_is_no_figure() -> None:
    figures = compare_by("wake", torch.zeros(3, 1), torch.tensor([-1, -1, -1]))
    assert math.isnan(figures["average_precision"])
