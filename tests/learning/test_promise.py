"""What a person is told to expect: kept by simulation, and careful where little is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from kwsctl.learning import promise as promises
from kwsctl.learning.promise import CALLS, promise, to_expect


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("clips", [3, 5, 10])
@pytest.mark.parametrize("spread", [1.0, 2.2])
def test_the_next_calls_lie_in_the_interval(clips: int, spread: float) -> None:
    chance, kept, cases = draw(1), 0, 150
    for case in range(cases):
        centre = chance.normal(3.0, 1.0)
        margins = chance.normal(centre, spread, clips)
        found = promise(margins, 0.0, draw(case))
        calls = np.mean(chance.normal(centre, spread, CALLS) >= 0)
        kept += found.low <= calls <= found.high
    assert kept / cases >= 0.9


def test_what_is_expected_is_what_many_calls_give() -> None:
    margins = 3.0 + 2.2 * scipy.stats.norm.ppf((np.arange(400) + 0.5) / 400)
    found = promise(margins, 1.0, draw())
    assert found.rate == pytest.approx(scipy.stats.norm.sf((1.0 - 3.0) / 2.2), abs=0.01)
    assert found.n == 400 and found.low < found.rate < found.high


def test_one_clip_promises_less_than_five_that_say_the_same() -> None:
    one, five = promise(np.full(1, 4.0), 0.0, draw()), promise(np.full(5, 4.0), 0.0, draw())
    assert one.rate < five.rate
    assert one.low < five.low
    assert (one.n, five.n) == (1, 5)


def test_without_a_clip_left_out_the_usual_is_promised_with_a_wide_interval() -> None:
    none = promise(np.array([]), 0.0, draw())
    one = promise(np.array([promises.USUAL_MARGIN - promises.GAIN]), 0.0, draw())
    assert none.n == 0
    assert (none.rate, none.low, none.high) == (one.rate, one.low, one.high)
    assert none.high - none.low > 0.4


def test_a_higher_threshold_promises_less() -> None:
    margins = np.array([2.0, 3.0, 5.0])
    rates = [promise(margins, threshold, draw()).rate for threshold in (-20.0, 0.0, 3.0, 6.0, 30.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.99 and rates[-1] < 0.01


def test_the_ends_are_shares_of_twenty_calls_and_the_same_draw_gives_the_same() -> None:
    found, same = (promise(np.array([1.0, 2.0, 4.0]), 0.5, draw(3)) for _ in range(2))
    assert found == same
    for end in (found.low, found.high):
        assert end * CALLS == pytest.approx(round(end * CALLS))


def test_calls_to_expect_fall_long_before_the_clips_at_hand_do() -> None:
    """All three are above both thresholds; of the calls that they stand for, fewer are above the second."""
    clips = np.array([4.0, 5.0, 4.5])
    assert (clips > 3.5).all()
    assert to_expect(clips, 0.0) > 0.999
    assert 0.7 < to_expect(clips, 3.5) < 0.9
    assert to_expect(clips, 4.5) == pytest.approx(0.5, abs=0.02)
