"""Searches scale and shift of the normalizations by forward passes: simultaneous perturbation."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.learning.forward._change import calls_of, copied, delta_of, loss_of, norms
from kwsctl.learning.updating import Material
from kwsctl.seeding import torch_generator

STEPS = 60
BATCH_CALLS, BATCH_OTHERS = 24, 48
REACH = 0.02
RATE = 0.02
DECAY = 0.9


def adapt(material: Material) -> Delta | None:
    """Follows gradients that two forward passes estimate (SPSA, Spall 1992; MeZO, arXiv 2305.17333).

    Only scale and shift of the normalizations and the keyword's bias move; the estimate is averaged over
    steps and its length bounded, as single ones are noise for the most part. Embeddings of other words must
    stay what they were.

    Args:
        material: calls, and what is not to be taken for them.

    Returns:
        Changes of scale and shift; None if the network has no normalization.
    """
    task = material.task
    network = copied(task)
    free = [cast(Tensor, p) for layer in norms(network) for p in (layer.weight, layer.bias)]
    if not free:
        return None
    calls, others, taught = calls_of(task), task.negatives, task.negative_embeddings
    average = [torch.zeros_like(p) for p in free]
    for step in range(STEPS):
        draw = torch_generator(task.seed, "search", step)
        some = torch.randint(len(calls), (BATCH_CALLS,), generator=draw)
        rest = torch.randint(len(others), (BATCH_OTHERS,), generator=draw)
        direction = [torch.randn(p.shape, generator=draw) for p in free]

        def at(factor: float) -> float:
            _moved(free, direction, factor * REACH)  # noqa: B023  # called within this step
            value = loss_of(task, network, calls[some], others[rest], taught[rest])  # noqa: B023
            _moved(free, direction, -factor * REACH)  # noqa: B023
            return value

        slope = (at(1.0) - at(-1.0)) / (2 * REACH)
        for mean, way in zip(average, direction, strict=True):
            mean.mul_(DECAY).add_(slope * way, alpha=1 - DECAY)
        length = float(torch.cat([m.flatten() for m in average]).norm()) + 1e-9
        _moved(free, average, -RATE * (1 - step / STEPS) * min(1.0, 1 / length))
    return delta_of(task, network, "search")


def _moved(free: list[Tensor], direction: list[Tensor], factor: float) -> None:
    with torch.no_grad():
        for part, way in zip(free, direction, strict=True):
            part.add_(way, alpha=factor)
