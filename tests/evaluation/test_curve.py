"""A curve that is kept and taken up again is the same curve."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.evaluation.curve import ARRAYS, from_facts, point_of, to_facts
from tests.report.evaluations import evaluation


@pytest.mark.parametrize("background", [0, 1])
def test_a_curve_survives_json(background: int) -> None:
    curve = evaluation(background=background).tradeoff
    again = from_facts(json.loads(json.dumps(to_facts(curve))))
    assert again.hours == curve.hours
    for name in ARRAYS:
        before, after = getattr(curve, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_allclose(after, before, rtol=1e-6)


def test_the_operating_point_is_that_of_the_evaluation() -> None:
    found = evaluation()
    point = point_of(json.loads(json.dumps(found.facts()["detection"])))
    assert point is not None
    assert found.detection is not None
    for name in ("threshold", "frr", "n", "trigger"):
        assert getattr(point, name) == getattr(found.detection, name)
    assert dataclasses.astuple(point.frr_ci95) == dataclasses.astuple(found.detection.frr_ci95)
    assert point.false_alarms is not None
    assert found.detection.false_alarms is not None
    assert point.false_alarms.per_hour == found.detection.false_alarms.per_hour
    assert point_of(None) is None


def test_a_garbled_curve_is_refused() -> None:
    facts = to_facts(evaluation().tradeoff)
    for broken in ({}, {**facts, "frr": "???"}, {**facts, "hours": None}):
        with pytest.raises(InputError, match="garbled"):
            from_facts(broken)
