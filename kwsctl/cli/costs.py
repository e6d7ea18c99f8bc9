"""`--cost` of the commands that learn: what it takes, told before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kwsctl.cli import console

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle
    from kwsctl.data.store import ClipStore
    from kwsctl.learning.cost import Cost
    from kwsctl.learning.enroll_options import EnrollOptions
    from kwsctl.learning.enrolment_clips import Take
    from kwsctl.learning.stored_negatives import StoredNegatives
    from kwsctl.learning.train_options import TrainOptions


def of_training(store: ClipStore, options: TrainOptions, *, alone: bool, as_json: bool) -> Cost:
    """Tells what a step of training takes.

    Args:
        store: the clips.
        options: how to train.
        alone: nothing else will be shown, so that JSON is printed, too.
        as_json: print one JSON object instead of a table.

    Returns:
        The cost.
    """
    from kwsctl.learning.train_cost import train_cost
    from kwsctl.report.cost_table import cost_table

    found = train_cost(store, options)
    if alone or not as_json:
        console.show(found, as_json=as_json, render=cost_table)
    return found


def of_enrolment(
    base: Bundle,
    word: str,
    takes: list[Take],
    negatives: StoredNegatives,
    options: EnrollOptions,
    *,
    as_json: bool,
) -> Mapping[str, Cost]:
    """Tells what an enrolment takes, unless that is to be part of a JSON object.

    Args:
        base: the model.
        word: what is enrolled.
        takes: the clips.
        negatives: of other people.
        options: how to enrol.
        as_json: tell nothing yet.

    Returns:
        The cost by method.
    """
    from kwsctl.learning.enroll import costs
    from kwsctl.report.cost_table import costs_table

    found = costs(base, word, takes, negatives, options)
    if not as_json:
        console.show(found, as_json=False, render=lambda each: costs_table(each, options.memory_budget))
    return found


def with_cost(result: Any, spent: Any) -> Any:
    """Adds a cost to a result that is shown as JSON; None adds nothing."""
    return result if spent is None else {**vars(result), "cost": spent}
