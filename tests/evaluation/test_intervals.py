from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.evaluation import intervals


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bootstrap_draws_speakers_not_clips() -> None:
    # Two speakers, one always right, one always wrong: draws are AA, AB, BA or BB.
    values, speakers = [1.0] * 50 + [0.0] * 50, ["a"] * 50 + ["b"] * 50
    found = intervals.bootstrap(values, speakers, rng())
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.method == "bootstrap over 2 speakers"
    by_clip = intervals.bootstrap(values, [None] * 100, rng())
    assert 0.38 <= by_clip.low <= 0.43 and 0.57 <= by_clip.high <= 0.62
    assert by_clip.method == "bootstrap over 100 clips, speakers not known"


def test_bootstrap_equals_the_slow_one_draw_by_draw() -> None:
    values = rng(1).random(30)
    speakers = [f"s{index % 7}" if index % 5 else None for index in range(30)]
    fast = intervals.bootstrap(values, speakers, rng(2), resamples=500)
    slow = intervals.bootstrap(values, speakers, rng(2), resamples=500, statistic=lambda v: float(np.mean(v)))
    assert fast.low == pytest.approx(slow.low) and fast.high == pytest.approx(slow.high)
    assert fast.method == "bootstrap over 7 speakers and 6 clips of unknown speakers"


def test_bootstrap_agrees_with_theory_where_clips_are_independent() -> None:
    values = rng(3).normal(2.0, 1.0, 400)
    found = intervals.bootstrap(values, [None] * 400, rng(4), resamples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_bootstrap_weighs_speakers_by_their_clips() -> None:
    values = [1.0] * 90 + [0.0] * 10
    found = intervals.bootstrap(values, ["a"] * 90 + ["b"] * 10, rng(), resamples=999)
    drawn = intervals.bootstrap(
        values, ["a"] * 90 + ["b"] * 10, rng(), statistic=lambda v: float(v.mean()), resamples=999
    )
    assert (found.low, found.high) == (drawn.low, drawn.high) == (0.0, 1.0)


def test_bootstrap_is_the_same_for_the_same_generator() -> None:
    values, speakers = rng(5).random(40), [str(index % 8) for index in range(40)]
    once = intervals.bootstrap(values, speakers, rng(6))
    assert once == intervals.bootstrap(values, speakers, rng(6))
    assert once != intervals.bootstrap(values, speakers, rng(7))


def test_one_speaker_gives_wilson_and_says_so() -> None:
    found = intervals.bootstrap([1.0] * 8 + [0.0] * 2, ["a"] * 10, rng())
    wilson = intervals.wilson(8, 10)
    assert (found.low, found.high) == (wilson.low, wilson.high)
    assert found.method == "Wilson over 10 clips (one speaker)"
    with pytest.raises(InputError, match="One speaker cannot be resampled"):
        intervals.bootstrap([0.2, 0.4], ["a", "a"], rng())


def test_no_errors_do_not_give_an_interval_of_no_width() -> None:
    found = intervals.bootstrap([1.0] * 20, [str(index % 4) for index in range(20)], rng())
    assert found.high == 1.0
    assert found.low == pytest.approx(0.8389, abs=1e-4)
    assert "all alike, nothing to resample" in found.method


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="over 0 values"):
        intervals.bootstrap([], [], rng())
    with pytest.raises(InputError, match="2 values of 1 clips"):
        intervals.bootstrap([1.0, 0.0], ["a"], rng())
    with pytest.raises(InputError, match="n is 0"):
        intervals.wilson(0, 0)


def test_wilson_equals_published_figures() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = intervals.wilson(successes, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 60), st.data())
def test_wilson_holds_the_shares_whose_score_test_does_not_reject(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found = intervals.wilson(successes, n)
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert abs(successes / n - end) == pytest.approx(
                1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-4
            )
    assert 0 <= found.low <= successes / n <= found.high <= 1


def poisson_tail(events: int, mean: float) -> float:
    """Probability of so many events or more."""
    return 1 - sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(events))


@pytest.mark.parametrize("events", [0, 1, 2, 7, 25])
@pytest.mark.parametrize("hours", [0.87, 12.0])
def test_poisson_interval_ends_where_the_tails_are_2_5_percent(events: int, hours: float) -> None:
    found = intervals.poisson_rate(events, hours)
    assert 1 - poisson_tail(events + 1, found.high * hours) == pytest.approx(0.025, abs=1e-6)
    if events:
        assert poisson_tail(events, found.low * hours) == pytest.approx(0.025, abs=1e-6)
    else:
        assert found.low == 0.0


def test_no_events_give_the_rule_of_three() -> None:
    assert intervals.poisson_upper(0, 10.0) == pytest.approx(-math.log(0.05) / 10)
    assert intervals.poisson_upper(0, 10.0) == pytest.approx(3 / 10, rel=0.01)
    assert 1 - poisson_tail(5, intervals.poisson_upper(4, 1.0)) == pytest.approx(0.05)


def test_no_hours_are_refused() -> None:
    with pytest.raises(InputError, match="0 hours of audio"):
        intervals.poisson_rate(0, 0.0)
    with pytest.raises(InputError, match="0 hours of audio"):
        intervals.poisson_upper(0, 0.0)


@pytest.mark.slow
def test_bootstrap_covers_the_truth_nearly_as_often_as_it_says() -> None:
    truth, draws, covered = 0.9, rng(8), 0
    for _ in range(300):
        skills = draws.beta(9, 1, size=30)  # mean 0.9, speakers differ
        values = np.concatenate([draws.random(20) < skill for skill in skills]).astype(float)
        speakers = [str(index // 20) for index in range(600)]
        found = intervals.bootstrap(values, speakers, draws, resamples=400)
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 300 <= 0.98
