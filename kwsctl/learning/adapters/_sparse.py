"""Finds out which layers are worth their memory, and how a tuning fits a budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

from torch import nn

from kwsctl.errors import InputError
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import BATCH, Tuning, loss_of, spent, tuned

LEARNING_RATE, STAY = 5e-3, 0.01
BUDGET = 256 * 1024
PROBE_STEPS = 8
FEWEST = 12  # pieces: with smaller ones a tuning spends its time between them
PIECES = (1, 2, 4, 8, 12, 24, BATCH)


def tuning(layers: Sequence[str], pieces: int = 1, *, lean: bool = True) -> Tuning:
    """Makes the tuning of biases, the head, and the weights of some layers."""

    def choose(network: nn.Module) -> list[nn.Parameter]:
        return [
            p
            for name, p in network.named_parameters()
            if name.endswith("bias") or name == "head.weight" or name.removesuffix(".weight") in layers
        ]

    return Tuning(choose, LEARNING_RATE, STAY, pieces, lean=lean)


def fitting(task: Enrolment, layers: Sequence[str]) -> Tuning:
    """Cuts batches into as few pieces as the budget allows.

    Args:
        task: its budget counts; without one, batches stay whole, and the activations of more than biases are
            kept: time is worth more than memory then.
        layers: whose weights are tuned.

    Returns:
        The tuning.

    Raises:
        InputError: it does not fit, however small the pieces.
    """
    budget = task.memory_budget
    if budget is None:
        return tuning(layers, lean=not layers)
    for pieces in PIECES:
        how = tuning(layers, pieces)
        needed = spent(task, how).training_bytes
        if needed <= budget:
            return how
    raise InputError(
        f"Tuning takes {needed / 1024:.0f} KB even clip by clip, the budget is {budget / 1024:.0f} KB.",
        "Use --method head, which runs the network without learning inside it, or a larger --memory-budget.",
    )


def contributions(task: Enrolment) -> dict[str, float]:
    """Measures what the weights of each layer help: by how much a few steps with them lower the loss further.

    Every layer is tried alone, together with biases and the head, and judged on clips that are varied in
    another way than those it was tuned on.

    Args:
        task: base, keyword, clips and negatives.

    Returns:
        For each convolution and linear layer but the head, how much lower the loss is than with biases alone.
    """
    if "contributions" in task.__dict__:  # asked for by the choice of a method, then by the method
        return cast("dict[str, float]", task.__dict__["contributions"])

    def reached(layers: Sequence[str]) -> float:
        how = dataclasses.replace(tuning(layers, lean=task.memory_budget is not None), steps=PROBE_STEPS)
        return loss_of(task, tuned(task, how), "contribution")

    without = reached(())
    found = {name: without - reached((name,)) for name in _layers(task)}
    task.__dict__["contributions"] = found
    return found


def chosen(task: Enrolment) -> tuple[str, ...]:
    """Takes layers in the order of what they help for each byte, as long as the budget lasts.

    Args:
        task: its budget counts; 256 KB without one.

    Returns:
        Names of layers; none where none helps or fits.
    """
    budget = task.memory_budget if task.memory_budget is not None else BUDGET
    helps = contributions(task)
    sizes = _layers(task)
    order = sorted(helps, key=lambda name: -helps[name] / sizes[name])
    taken: list[str] = []
    for name in order:
        if helps[name] > 0 and spent(task, tuning([*taken, name], FEWEST)).training_bytes <= budget:
            taken.append(name)
    return tuple(taken)


def _layers(task: Enrolment) -> dict[str, int]:
    """Lists the layers whose weights could be tuned, with how many numbers these have."""
    return {
        name: module.weight.numel()
        for name, module in task.network.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and name not in ("head", "voice.project")
    }
