"""The guard refuses what costs calls, raises false alarms, forgets, or drifts, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kwsctl.learning.canary import CanaryFigures, Tolerances, height_of, objection
from kwsctl.learning.guard import told_right

GOOD = CanaryFigures(
    calls=0.9, heard=0.8, expected=0.9, false_alarms=0.004, global_task=0.9, drift=0.01, height=0.5
)
FULL = dataclasses.replace(GOOD, calls=1.0, heard=0.999, expected=0.9995, false_alarms=0.0)


def said(
    first: CanaryFigures = GOOD, before: CanaryFigures = GOOD, *, learned: bool = True, **changes: float
) -> str:
    after = dataclasses.replace(GOOD, **changes)
    return objection(before, after, 0.005, Tolerances(), first, learned=learned)


def test_an_update_that_gives_something_passes() -> None:
    assert said(calls=1.0, expected=0.95, false_alarms=0.0069, global_task=0.8971, drift=0.09) == ""
    assert said(expected=0.906) == ""
    assert said(heard=0.81, expected=0.895) == ""
    assert said(false_alarms=0.003, expected=0.895) == ""


def test_an_update_that_gives_nothing_is_refused() -> None:
    assert said() == "nothing is gained by it"
    assert said(expected=0.903, false_alarms=0.0035) == "nothing is gained by it"
    rare = dataclasses.replace(GOOD, false_alarms=0.0002)  # of a budget of half a percent
    assert said(before=rare, false_alarms=0.0) == "nothing is gained by it"


@pytest.mark.parametrize(("changes", "learned", "passes"), [
    ({"height": 0.6}, True, True), ({}, True, True), ({"height": 0.49}, True, False),
    ({"height": 0.6, "expected": 0.994}, True, False), ({"height": 0.6, "heard": 0.9985}, True, False),
    ({"height": 0.6}, False, False),
])  # fmt: skip
def test_where_no_gain_can_show_a_row_may_learn_under_a_threshold_as_far_up_as_it_was(
    changes: dict[str, float], learned: bool, passes: bool
) -> None:
    after = dataclasses.replace(FULL, **changes)
    found = objection(FULL, after, 0.005, Tolerances(), FULL, learned=learned)
    assert found == ("" if passes else "nothing is gained by it")


def test_how_far_up_a_threshold_is_is_told_between_the_budget_and_the_usual_call() -> None:
    calls = np.array([1.0, 6.0, 9.0])
    assert height_of(4.0, calls, 2.0) == 0.5
    assert height_of(1.0, calls, 2.0) == -0.25
    assert height_of(1.0, calls, 7.0) == 1.0  # calls that are lower than what the budget lets pass


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"calls": 0.89}, "calls heard fall"),
        ({"heard": 0.78}, "threshold in use fall"),
        ({"expected": 0.88}, "calls to expect fall"),
        ({"false_alarms": 0.0071}, "other words"),
        ({"global_task": 0.8969}, "global task"),
        ({"drift": 0.11}, "turned"),
    ],
)
def test_what_makes_it_worse_is_refused_with_the_reason(changes: dict[str, float], reason: str) -> None:
    assert reason in said(**changes)


def test_a_threshold_that_let_too_much_pass_may_rise() -> None:
    loose = dataclasses.replace(GOOD, heard=1.0, false_alarms=0.05)
    assert said(before=loose, heard=0.8) == ""  # what is gained are false alarms
    assert said(before=dataclasses.replace(loose, false_alarms=0.005), heard=0.8) != ""


def test_no_call_is_paid_for_fewer_of_few_false_alarms() -> None:
    assert said(false_alarms=0.001, heard=GOOD.heard - 0.00005) == ""
    assert said(false_alarms=0.001, heard=GOOD.heard - 0.0005) == "nothing is gained by it"
    assert said(false_alarms=0.001, heard=GOOD.heard - 0.0005, expected=0.91) == ""  # calls are gained


def test_small_losses_do_not_add_up_beyond_the_tolerance() -> None:
    worn = dataclasses.replace(GOOD, expected=0.893, global_task=0.898)
    assert said(before=worn, expected=0.886) != ""
    assert said(before=worn, global_task=0.896) != ""


def test_words_are_told_by_their_nearest_neighbour() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.5, 0.5]])
    assert told_right(embeddings, ["a", "a", "b", "b", "c"]) == 1.0
    assert told_right(embeddings, ["a", "b", "a", "b", "c"]) == 0.0
    assert told_right(embeddings[:2], ["a", "b"]) == 1.0
