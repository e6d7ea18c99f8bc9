"""How users learn together to be told apart: each from its own clips alone, towards what only it knows.

The heads of many users are trained at once on cached statistics of a frozen trunk, with batched products and
one gradient for all; the steps are those of one user after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from kwsctl.federated.layout import Layout
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.federated.local import Learned, LocalWork
from kwsctl.federated.timetable import timetable
from kwsctl.verification.head import VoiceHead
from kwsctl.verification.options import VerificationOptions

ROWS = "rows.weight"
Named = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Voices:
    """What users are told apart by.

    Attributes:
        head: the network that is trained; its weights change.
        method: file in `verification/methods/`.
        options: how.
        targets: what each user learns towards; a simulation holds all, of which a user reads its own.
        users: place of each user in `targets`.
        cohort: users that are expected in a round.
        figure: of what outputs of inputs say, to compare rounds by.
    """

    head: VoiceHead
    method: ModuleType
    options: VerificationOptions
    targets: Tensor
    users: Mapping[str, int]
    cohort: float
    figure: Callable[[Callable[[Tensor], Tensor]], float]

    def spread(self, layout: Layout, weights: Tensor, rate: float) -> Tensor:
        """Lets the server treat the embeddings of users [U, n_d], where it sees them.

        Args:
            layout: of the shared weights.
            weights: [P] after the round.
            rate: learning rate of the devices.

        Returns:
            [P] what is sent out.
        """
        if not self.method.NEEDS_ROWS:
            return weights
        named = layout.tensors(weights.clone())
        named[ROWS] = self.method.spread(named[ROWS], self.options, rate)
        return layout.vector(named)


def learn_voices(
    voices: Voices,
    layout: Layout,
    starts: Tensor,
    plans: Sequence[Lesson],
    inputs: Inputs,
    work: LocalWork,
) -> list[Learned]:
    """Trains the head of each user.

    Args:
        voices: method and targets.
        layout: of the trained weights.
        starts: [K, P] where each begins.
        plans: K plans.
        inputs: gives the statistics [B, S] of rows.
        work: learning rate, and the pull of FedProx.

    Returns:
        K heads.
    """
    table = timetable(plans)
    own = torch.tensor([voices.users[plan.client] for plan in plans])
    begun = _stacked(layout, starts)
    now = {name: part.clone() for name, part in begun.items()}
    loss_sum, clips = torch.zeros(len(plans)), torch.zeros(len(plans))
    for step, busy in enumerate(table.busy):
        rows, marked, share = (part[step, busy] for part in (table.rows, table.triggered, table.share))
        x = inputs(rows.flatten(), marked.flatten(), plans[0].augmentation).view(*rows.shape, -1)
        users = own[busy]
        named = {name: part[busy].requires_grad_(True) for name, part in now.items()}
        outputs = voices.head.together(named, x)
        each = voices.method.loss(outputs, voices.targets[users][:, None], users[:, None], voices.options)
        value = (each * share).sum(1)
        total = value.sum()
        if work.proximal:
            apart = [(part - begun[name][busy]).square().sum() for name, part in named.items()]
            total = total + 0.5 * work.proximal * torch.stack(apart).sum()
        # The heads share nothing, so that the gradient of the sum is that of each.
        pushed = torch.autograd.grad(total, list(named.values()))
        for name, part in zip(named, pushed, strict=True):
            now[name].index_add_(0, busy, part, alpha=-work.rate)
        held = (share > 0).sum(1)
        loss_sum[busy] += value.detach() * held
        clips[busy] += held
    means = (loss_sum / clips).tolist()
    together = torch.cat([now[name].flatten(1) for name in layout.names], 1)
    ends = _alone(voices, layout, starts, together)
    return [Learned(ends[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


def _stacked(layout: Layout, vectors: Tensor) -> Named:
    """Cuts vectors [K, P] into weights [K, ...]."""
    parts = torch.split(vectors, [math.prod(shape) for _, shape in layout.shapes], dim=1)
    return {
        name: part.view(len(vectors), *shape)
        for (name, shape), part in zip(layout.shapes, parts, strict=True)
    }


def _alone(voices: Voices, layout: Layout, starts: Tensor, ends: Tensor) -> Tensor:
    """Makes up for the mean over users: what only one of them moves counts as if alone (FedAWS)."""
    if not voices.method.NEEDS_ROWS or not voices.method.SOLE_ROWS:
        return ends
    sole = layout.vector({n: torch.full(shape, float(n == ROWS)) for n, shape in layout.shapes}) > 0
    return torch.where(sole, starts + voices.cohort * (ends - starts), ends)
