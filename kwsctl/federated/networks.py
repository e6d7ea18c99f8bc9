"""Trains the whole networks of many clients at once, where that is faster than one after the other: on a GPU.

Each client has weights of its own, so that a step of all is one function of their weights, vectorized over
clients (`torch.func.vmap`). On a GPU, which waits for a single small network most of the time, a hundred
clients are done some fourteen times sooner so; on a CPU hardly twice, and processes side by side give as much
with the same bits (benchmarks/federated_device.py). The steps are those of `Resident.learn`, to float
tolerance; dropout draws other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from kwsctl.features.draws import Draws
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.federated.local import Learned, LocalWork, Resident, loss_of
from kwsctl.federated.timetable import timetable

CLIENTS_AT_ONCE = 128  # several hundred are no faster each, and take more memory


def learn_networks(
    resident: Resident,
    starts: Tensor,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
    corrections: Tensor | None = None,
) -> list[Learned]:
    """Trains one network for each client.

    Args:
        resident: gives the network and the device.
        starts: [K, P] where each begins.
        plans: K plans.
        inputs: gives the inputs of rows.
        work: how.
        corrections: [K, P] added to every gradient (SCAFFOLD).

    Returns:
        K networks.
    """
    found: list[Learned] = []
    for first in range(0, len(plans), CLIENTS_AT_ONCE):
        some = slice(first, first + CLIENTS_AT_ONCE)
        pull = None if corrections is None else corrections[some].to(resident.device)
        found += _together(resident, starts[some].to(resident.device), plans[some], inputs, work, pull)
    return found


def _together(
    resident: Resident,
    starts: Tensor,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
    pull: Tensor | None,
) -> list[Learned]:
    device, network = resident.device, resident.while_learning()
    loss = loss_of(resident.task, work.smoothing, each=True)

    def judged(weights: Tensor, x: Tensor, target: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(network, resident.layout.tensors(weights), (x,))
        each = loss(logits.float(), target)
        return (each * share).sum(), each

    step_of_all = vmap(grad(judged, has_aux=True), randomness="different")
    now = starts.clone()
    loss_sum, clips = now.new_zeros(len(plans)), now.new_zeros(len(plans))
    table = timetable(plans)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(plans[0].augmentation.initial_seed())  # for dropout
        for step, own in enumerate(table.busy):
            here = own.to(device)
            share, target = table.share[step, own].to(device), table.target[step, own].to(device)
            point = now[here]
            x = _batch(inputs, table.rows[step, own], table.triggered[step, own], share, plans, own)
            slope, each = step_of_all(point, x, target, share)
            if work.proximal:
                slope = slope + work.proximal * (point - starts[here])
            if pull is not None:
                slope = slope + pull[here]
            now[here] = point - work.rate * slope
            held = (share > 0).sum(1)
            loss_sum[here] += (each * share).sum(1) * held
            clips[here] += held
    means, ended = (loss_sum / clips).tolist(), now.cpu()
    return [Learned(ended[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


def _batch(
    inputs: Inputs, rows: Tensor, triggered: Tensor, share: Tensor, plans: Sequence[Lesson], own: Tensor
) -> Tensor:
    """Gives [K, B, ...] inputs of the clients that have this step, zeros where a batch is shorter.

    Clips are varied in one go, by the numbers that each client would draw alone.
    """
    there = share.cpu() > 0
    draws = Draws([plans[k].augmentation for k in own.tolist()], there.sum(1).tolist())
    found = inputs(rows[there], triggered[there], draws)
    x = found.new_zeros(*rows.shape, *found.shape[1:])
    x[there.to(x.device)] = found
    return x
