"""Losses against the sum written out."""

from __future__ import annotations

import math

import pytest
import torch

from kwsctl.learning.losses import keyword_loss, wake_loss


def test_keyword_loss_is_cross_entropy_with_smoothed_targets() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    log_p = (logits - logits.exp().sum().log())[0]
    wanted = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    expected = -sum(w * float(p) for w, p in zip(wanted, log_p, strict=True))
    assert float(keyword_loss(0.1)(logits, torch.tensor([0]))) == pytest.approx(expected, rel=1e-5)


def test_wake_loss_takes_a_negative_target_for_none() -> None:
    logits = torch.tensor([[3.0], [3.0]])
    p = 1 / (1 + math.exp(-3.0))
    expected = -(math.log(p) + math.log(1 - p)) / 2
    assert float(wake_loss(0.0)(logits, torch.tensor([0, -1]))) == pytest.approx(expected, rel=1e-5)
