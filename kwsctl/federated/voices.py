"""How users learn together to be told apart: each from its own clips alone, towards what only it knows.

The heads of many users are trained at once on cached statistics of a frozen trunk, with one batched gradient
for all (`torch.func.vmap`); the steps are those of one user after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from kwsctl.federated.heads import timetable
from kwsctl.federated.layout import Layout
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.federated.local import Learned, LocalWork
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
    buffers = dict(voices.head.named_buffers())
    begun = {name: part.contiguous() for name, part in _stacked(layout, starts).items()}
    now = {name: part.clone() for name, part in begun.items()}
    loss_sum, clips = torch.zeros(len(plans)), torch.zeros(len(plans))

    def loss_of(named: Named, first: Named, x: Tensor, share: Tensor, target: Tensor, user: Tensor) -> Tensor:
        outputs = functional_call(voices.head, {**named, **buffers}, (x,))
        value = (voices.method.loss(outputs, target, user, voices.options) * share).sum()
        if work.proximal:
            apart = torch.stack([(part - first[name]).square().sum() for name, part in named.items()])
            value = value + 0.5 * work.proximal * apart.sum()
        return value

    step_of = vmap(grad_and_value(loss_of))
    for step, busy in enumerate(table.busy):
        rows, marked, share = (part[step, busy] for part in (table.rows, table.triggered, table.share))
        x = inputs(rows.flatten(), marked.flatten(), plans[0].augmentation).view(*rows.shape, -1)
        users = own[busy]
        there, first = ({name: part[busy] for name, part in parts.items()} for parts in (now, begun))
        pushed, value = step_of(there, first, x, share, voices.targets[users], users)
        for name, part in pushed.items():
            now[name].index_add_(0, busy, part, alpha=-work.rate)
        held = (share > 0).sum(1)
        loss_sum[busy] += value * held
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
