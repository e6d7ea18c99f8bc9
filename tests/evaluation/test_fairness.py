from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.evaluation.fairness import SpeakerRate, per_speaker, worst_decile


def test_speakers_are_averaged_and_the_worst_comes_first() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    rows = per_speaker(values, ["ann", "ann", "bob", "bob", "cy", None])
    assert rows == (SpeakerRate("cy", 0.0, 1), SpeakerRate("ann", 0.5, 2), SpeakerRate("bob", 1.0, 2))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        per_speaker([1.0, 0.0], ["ann"])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=45))
def test_worst_decile_is_the_mean_of_the_lowest_tenth(rates: list[float]) -> None:
    rows = [SpeakerRate(f"s{index:02d}", rate, index + 1) for index, rate in enumerate(rates)]
    found = worst_decile(rows)
    ranked = sorted(rates)
    n_worst = math.ceil(len(rates) / 10)
    assert found.rate == pytest.approx(sum(ranked[:n_worst]) / n_worst)
    assert found.rest == pytest.approx(sum(ranked[n_worst:]) / (len(rates) - n_worst))
    assert found.gap == pytest.approx(found.rest - found.rate) and found.gap >= -1e-9
    assert len(found.speakers) == n_worst and found.n_speakers == len(rates)
    assert found.n == sum(row.n for row in rows if row.speaker in found.speakers)


@pytest.mark.parametrize(("n_speakers", "n_worst"), [(2, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_a_tenth_is_rounded_up(n_speakers: int, n_worst: int) -> None:
    rows = [SpeakerRate(f"{index:02d}", index / 30, 1) for index in range(n_speakers)]
    assert worst_decile(rows).speakers == tuple(f"{index:02d}" for index in range(n_worst))


def test_twelve_speakers_have_two_in_the_worst_decile() -> None:
    rows = [SpeakerRate(str(index), index / 12, 5) for index in range(12)]
    found = worst_decile(rows[::-1])
    assert found.speakers == ("0", "1") and found.n == 10
    assert found.rate == pytest.approx(1 / 24) and found.rest == pytest.approx(6.5 / 12)


def test_speakers_count_once_however_many_clips_they_have() -> None:
    rows = [SpeakerRate("a", 0.0, 1000), SpeakerRate("b", 0.5, 1), SpeakerRate("c", 1.0, 1)]
    assert worst_decile(rows).rest == 0.75


@pytest.mark.parametrize("rows", [[], [SpeakerRate("a", 0.5, 3)]])
def test_without_a_rest_there_is_no_worst_decile(rows: list[SpeakerRate]) -> None:
    with pytest.raises(InputError, match=rf"no worst decile of {len(rows)} speaker"):
        worst_decile(rows)
