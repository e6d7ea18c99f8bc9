"""Learning rates over a run."""

from __future__ import annotations

import pytest

from kwsctl.learning.schedule import warmup_cosine


def test_warm_up_then_half_a_cosine_to_zero() -> None:
    rate = warmup_cosine(0.1, 10, 110)
    assert [rate(0), rate(4), rate(9), rate(10)] == pytest.approx([0.01, 0.05, 0.1, 0.1])
    assert rate(60) == pytest.approx(0.05)
    assert rate(110) == pytest.approx(0.0)
    assert rate(200) == pytest.approx(0.0)


def test_no_warm_up_begins_at_the_peak() -> None:
    assert warmup_cosine(0.1, 0, 10)(0) == pytest.approx(0.1)
