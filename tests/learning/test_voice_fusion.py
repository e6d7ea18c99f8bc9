"""Word and voice together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT, fused

NUMBERS = st.floats(-50, 50)
COSINES = st.floats(-1, 1)


def test_a_voice_that_is_neither_alike_nor_unlike_changes_nothing() -> None:
    margins = np.array([-3.0, 0.0, 7.0])
    assert fused(margins, np.full(3, VOICE_OFFSET)).tolist() == margins.tolist()


def test_by_hand() -> None:
    assert fused(np.array([1.0, 1.0]), np.array([1.0, 0.0])).tolist() == [1 + 8.0, 1 - 8.0]
    assert VOICE_WEIGHT == 16.0


@given(NUMBERS, COSINES, COSINES)
def test_who_sounds_more_alike_scores_higher(margin: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = fused(np.array([margin, margin]), np.array([low, high]))
    assert found[0] <= found[1]
