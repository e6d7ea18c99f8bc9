"""Keeps the curve of an evaluation as JSON, so that it can be drawn again without running the model."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.evaluation.intervals import Interval
from kwsctl.evaluation.operating_point import Detection, FalseAlarms, Tradeoff
from kwsctl.evaluation.streams import Trigger

ARRAYS = ("thresholds", "frr", "false_alarms_per_hour", "own_peaks", "other_peaks")


def to_facts(curve: Tradeoff) -> dict[str, Any]:
    """Gives a curve as JSON has it: numbers of four bytes in base64, none left out.

    Args:
        curve: all thresholds, and the peaks of all clips.

    Returns:
        JSON-able.
    """
    arrays = {name: getattr(curve, name) for name in ARRAYS}
    return {
        "hours": curve.hours,
        **{name: None if array is None else _packed(array) for name, array in arrays.items()},
    }


def from_facts(facts: Mapping[str, Any]) -> Tradeoff:
    """Takes a curve up again.

    Args:
        facts: what `to_facts` gave.

    Returns:
        The curve, as precise as four bytes are.

    Raises:
        InputError: a field is missing or garbled.
    """
    try:
        arrays = {name: None if facts[name] is None else _unpacked(facts[name]) for name in ARRAYS}
        return Tradeoff(hours=float(facts["hours"]), **arrays)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The curve of an evaluation is garbled: {error}.", "Evaluate again.") from None


def point_of(facts: Mapping[str, Any] | None) -> Detection | None:
    """Takes an operating point up again, as far as a picture needs it.

    Args:
        facts: `detection` of what `kwsctl evaluate --json` prints.

    Returns:
        The point, without single clips; None if there was none.
    """
    if facts is None:
        return None
    span = facts["frr_ci95"]
    return Detection(
        threshold=facts["threshold"],
        threshold_from=facts["threshold_from"],
        frr=facts["frr"],
        frr_ci95=Interval(span[0], span[1], facts["frr_ci95_method"]),
        n=facts["n"],
        false_alarms=_alarms(facts),
        backgrounds={},
        wrong_word=None,
        silence=None,
        trigger=Trigger(facts["smoothing_s"], facts["refractory_s"]),
        detected=np.zeros(0, dtype=np.bool_),
        speakers=(),
    )


def _alarms(facts: Mapping[str, Any]) -> FalseAlarms | None:
    if facts["false_alarms"] is None:
        return None
    span = facts["false_alarms_per_hour_ci95"]
    return FalseAlarms(
        facts["false_alarms"],
        facts["hours"],
        facts["false_alarms_per_hour"],
        Interval(span[0], span[1], "Poisson"),
    )


def _packed(array: NDArray[np.float64]) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float64)
