"""What an enrolment takes by each method, and which method a budget of memory allows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from torch import nn

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.learning import cost
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._row import evidence
from kwsctl.learning.adapters._sparse import chosen
from kwsctl.learning.adapters._tuning import spent
from kwsctl.learning.cost import Cost
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_trials import ADAPTERS
from kwsctl.learning.precision import FULL, bits_of

LADDER = ("full", "sparse", "shift", "head")
"""Methods from the one that changes most to the one that changes least."""
UNITS = {"": 1, "B": 1, "K": 1024, "KB": 1024, "M": 1024**2, "MB": 1024**2}
HISTORY = 10  # pairs of vectors that L-BFGS keeps, as scipy does


def bytes_of(text: str) -> int:
    """Reads a number of bytes such as `256KB`; a KB has 1024.

    Args:
        text: a number, with B, KB or MB.

    Returns:
        Bytes.

    Raises:
        InputError: it is not one.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KM]?B?)", text.strip().upper())
    if found is None or found[2] not in UNITS or not float(found[1]):
        raise InputError(f"{text!r} is no amount of memory.", "Write 256KB, 1.5MB or a number of bytes.")
    return int(float(found[1]) * UNITS[found[2]])


def check_precision(options: EnrollOptions, automatic: Sequence[str]) -> None:
    """Refuses a precision where nothing is computed in it.

    Args:
        options: method and precision.
        automatic: what `auto` tries.

    Raises:
        InputError: the methods fit a row of the head to embeddings, and learn nothing inside the network.
    """
    if options.precision == FULL:
        return
    by_budget = options.method == "auto" and options.memory_budget is not None
    names = automatic if options.method == "auto" else (options.method,)
    if not by_budget and not any(_tunes(name) for name in names):
        raise InputError(
            f"Method {options.method!r} changes the head alone, which has no precision {options.precision}.",
            "Use --method full, sparse, shift or bias, or --memory-budget.",
        )


def check_tunes(method: str, precision: str) -> None:
    """Refuses to adapt in a precision where nothing is computed in it.

    Args:
        method: an adapter of enrolment, a file in `learning/forward/`, or `threshold`.
        precision: such as `w8a8g8`.

    Raises:
        InputError: no such precision, or the method tunes nothing inside the network.
    """
    if bits_of(precision) is not None and not (method in registry.names(ADAPTERS) and _tunes(method)):
        raise InputError(
            f"Method {method!r} tunes nothing inside the network, which has no precision {precision}.",
            "Use --method full, sparse, shift or bias, or --precision fp32.",
        )


def _tunes(method: str) -> bool:
    return hasattr(registry.load(ADAPTERS, method), "tuning")


def cost_of(name: str, task: Enrolment) -> Cost:
    """Measures what a method takes.

    Args:
        name: file in `learning/adapters/`.
        task: base, keyword, clips and negatives.

    Returns:
        The cost of a training step; of a method that fits the head, what its fit holds.

    Raises:
        ExtensionError: no such method.
        InputError: it does not fit the task's budget.
    """
    adapter: Any = registry.load(ADAPTERS, name)
    return spent(task, adapter.tuning(task)) if hasattr(adapter, "tuning") else _row_cost(task)


def within(task: Enrolment, budget: int) -> str:
    """Chooses what to update: the most that fits.

    Args:
        task: base, keyword, clips and negatives.
        budget: bytes for activations, gradients and optimizer.

    Returns:
        A method of `LADDER`.

    Raises:
        InputError: none fits.
    """
    least = 0
    for name in LADDER:
        if (name == "head" and task.precision != FULL) or (name == "sparse" and not chosen(task)):
            continue
        try:
            found = cost_of(name, task)
        except InputError:  # not even clip by clip
            continue
        if found.training_bytes <= budget:
            return name
        least = found.training_bytes
    raise InputError(
        f"No method learns in {budget / 1024:.0f} KB; the smallest takes {least / 1024:.0f} KB.",
        "Give a larger --memory-budget.",
    )


def _row_cost(task: Enrolment) -> Cost:
    """Counts what the fit of a row holds: embeddings of clips and negatives, the row, and L-BFGS."""
    found = evidence(task)
    head = cast(nn.Linear, task.network.head)
    held = sum(t.numel() * t.element_size() for t in (found.positive, found.negative))
    numbers = head.in_features + 1
    clips = len(found.positive) + len(found.negative)
    one = cost.measured(
        task.network,
        lambda net: cast(Any, net).embed(task.positives[:1]).sum(),
        1,
        bits=bits_of(task.precision),
    )
    return Cost(
        batch_size=clips,
        bits=one.bits,
        params=one.params,
        params_touched=numbers,
        macs_forward=one.macs_forward * clips,
        macs_backward=0,
        activation_bytes=held,
        peak_activation_bytes=held,
        gradient_bytes=8 * numbers,
        optimizer_bytes=8 * numbers * 2 * HISTORY,
        moved_static=one.moved_static * clips,
        moved_dynamic=one.moved_dynamic * clips,
        peak_process_bytes=cost.peak_process_bytes(),
        layers=(),
    )
