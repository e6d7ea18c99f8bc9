"""What the forward methods share: a changed copy of a network, and how well it tells calls from the rest."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from kwsctl.bundle import Bundle, Delta
from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters._enrolment import Enrolment, embed, margins
from kwsctl.learning.adapters._tuning import DISTILLATION, changes

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def norms(network: nn.Module) -> list[nn.Module]:
    """Lists the batch normalizations of a network."""
    return [module for module in network.modules() if isinstance(module, NORMS)]


def copied(task: Enrolment) -> nn.Module:
    """Gives a copy of the network of a task, to be changed."""
    return copy.deepcopy(task.network)


def delta_of(task: Enrolment, changed: nn.Module, method: str) -> Delta:
    """Gives what differs from the base of a task; counters of batches are left out."""
    found = {k: v for k, v in changes(task, changed).items() if not k.endswith("num_batches_tracked")}
    return task.delta(found, method)


def joined(task: Enrolment, last: Bundle, method: str) -> Delta:
    """Gives one change that leads from the base of a task to another bundle of the same labels."""
    before = task.base.weights
    found = {n: w - before[n] for n, w in last.weights.items() if not torch.equal(w, before[n])}
    return task.delta(found, method)


def loss_of(
    task: Enrolment, network: nn.Module, calls: Tensor, others: Tensor, taught: Tensor, threshold: float = 0.0
) -> float:
    """Gives the logistic loss of a network, calls and others weighing alike, and what its embeddings moved.

    Args:
        task: says which keyword.
        network: to be judged.
        calls: [P, F, T] features.
        others: [N, F, T] features.
        taught: [N, E] embeddings that the others should have.
        threshold: margin that parts the two.

    Returns:
        The loss.
    """
    found = embed(network, torch.cat([calls, others]))
    margin = margins(task.base, task.keyword, cast(nn.Linear, network.head)(found)) - threshold
    moved = (found[len(calls) :] - taught).square().sum(1).mean() / taught.square().sum(1).mean()
    value = (
        nn.functional.softplus(-margin[: len(calls)]).mean()
        + nn.functional.softplus(margin[len(calls) :]).mean()
    )
    return float(value + DISTILLATION * moved)


def calls_of(task: Enrolment) -> Tensor:
    """Gives [P, F, T] features of all calls of a task, as they are."""
    return middle(task.power, task.base.n_frames)
