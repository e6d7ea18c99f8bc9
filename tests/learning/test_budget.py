"""Thresholds for budgets of false alarms, measured where there are enough negatives, else continued."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kwsctl.learning.budget import WORDS_PER_HOUR, far_of, share_above, threshold_for

MARGINS = arrays(np.float64, st.integers(20, 200), elements=st.floats(-30, 30, width=32))
SHARES = st.floats(1e-6, 0.5)


def exponential(n: int) -> np.ndarray:
    """A sample without luck: n quantiles of the exponential distribution."""
    return -np.log1p(-(np.arange(n) + 0.5) / n)


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("far", [1e-2, 1e-3, 1e-4, 1e-5])
def test_the_tail_of_an_exponential_sample_goes_on_as_it_should(n: int, far: float) -> None:
    # The quantile of the distribution is -log(far), within 6 % from 100 numbers.
    assert threshold_for(exponential(n), far) == pytest.approx(-np.log(far), rel=0.06)
    assert share_above(exponential(n), -np.log(far)) == pytest.approx(far, rel=0.3)


def test_where_there_are_enough_negatives_the_threshold_is_their_quantile() -> None:
    margins = np.random.default_rng(0).normal(size=2000)
    for far in (0.0025, 0.01, 0.2):
        threshold = threshold_for(margins, far)
        assert threshold == np.quantile(margins, 1 - far)
        assert np.mean(margins >= threshold) == pytest.approx(far, abs=1 / 2000)


def test_the_share_is_counted_where_five_or_more_pass() -> None:
    margins = np.arange(100.0)
    assert share_above(margins, 95.0) == 0.05
    assert 0 < share_above(margins, 96.0) < 0.05
    assert share_above(margins, -1.0) == 1.0


def test_ties_give_a_threshold_that_is_a_number() -> None:
    assert threshold_for(np.zeros(50), 0.001) == 0.0
    assert share_above(np.zeros(50), 1.0) == 0.0
    tied = np.concatenate([np.arange(50.0), np.full(20, 60.0)])  # the upper tenth is of one value
    assert threshold_for(tied, 0.001) == 60.0


@given(MARGINS, SHARES, SHARES)
def test_a_smaller_budget_never_lowers_the_threshold_within_a_method(
    margins: np.ndarray, one: float, other: float
) -> None:
    few, many = sorted((one, other))
    counted = [far * len(margins) >= 5 for far in (few, many)]
    if counted[0] == counted[1]:
        assert threshold_for(margins, few) >= threshold_for(margins, many)


@given(MARGINS, st.floats(-40, 40), st.floats(-40, 40))
def test_shares_are_shares_and_fall_with_the_margin(margins: np.ndarray, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= share_above(margins, high) <= 1
    counted = [(margins >= at).sum() >= 5 for at in (low, high)]
    if counted[0] == counted[1]:
        assert share_above(margins, high) <= share_above(margins, low)


@given(st.floats(0.01, 1000))
def test_an_hour_of_speech_is_nine_thousand_words(fa_per_hour: float) -> None:
    assert far_of(fa_per_hour) * WORDS_PER_HOUR == pytest.approx(fa_per_hour)
    assert far_of(9.0) == pytest.approx(0.001)
