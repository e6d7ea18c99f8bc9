"""What a client learns from in one round: rows with labels, in an order that the seed and the round give."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.features.draws import Draws
from kwsctl.federated.clients import Client
from kwsctl.seeding import torch_generator

Inputs = Callable[[Tensor, Tensor, torch.Generator | Draws], Tensor]
"""Gives the inputs [B, ...] of rows [B], with the trigger of a backdoor where the second [B] is true."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One client's clips in one round.

    Attributes:
        client: whose.
        rows: [n] rows of the corpus.
        target: [n] labels, true, made up or wrong.
        triggered: [n] whether the sound of a backdoor is put in.
        batches: positions in `rows`, one tensor for each local step.
        augmentation: draws how inputs are varied.
    """

    client: str
    rows: Tensor
    target: Tensor
    triggered: Tensor
    batches: tuple[Tensor, ...]
    augmentation: torch.Generator

    @property
    def clips(self) -> int:
        """How many clips the client says it learned from."""
        return len(self.rows)


def lesson(
    client: Client,
    target: Tensor,
    number: int,
    seed: int,
    *,
    keep: Tensor | None = None,
    epochs: int = 1,
    batch_size: int = 20,
    work: float = 1.0,
    triggered: Tensor | None = None,
) -> Lesson:
    """Plans the local steps of a client.

    Args:
        client: who.
        target: [N] the labels of all of its clips.
        number: of the round.
        seed: of everything random.
        keep: [N] which clips it learns from; by default the labelled ones.
        epochs: passes over them.
        batch_size: B.
        work: share of the steps that it finishes; at least one.
        triggered: [N] where the sound of a backdoor is put in.

    Returns:
        The plan.
    """
    rows = torch.from_numpy(client.rows)
    chosen = torch.from_numpy(client.labelled) if keep is None else keep
    draw = torch_generator(seed, "lesson", client.name, number)
    steps = [
        part
        for _ in range(epochs)
        for part in torch.split(torch.randperm(int(chosen.sum()), generator=draw), batch_size)
    ]
    return Lesson(
        client=client.name,
        rows=rows[chosen],
        target=target[chosen],
        triggered=torch.zeros(int(chosen.sum()), dtype=torch.bool)
        if triggered is None
        else triggered[chosen],
        batches=tuple(steps[: max(1, math.ceil(work * len(steps)))]),
        augmentation=torch_generator(seed, "local augmentation", client.name, number),
    )
