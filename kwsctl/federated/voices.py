"""How users learn together to be told apart: each from its own clips alone, towards what only it knows.

The heads of many users are trained at once on cached statistics of a frozen trunk, with one batched gradient
for all (`torch.func.vmap`); the steps are those of one user after the other.
"""

from __future__ import annotations

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
    now = starts.clone()
    loss_sum, clips = torch.zeros(len(plans)), torch.zeros(len(plans))

    def loss_of(
        vector: Tensor, x: Tensor, share: Tensor, target: Tensor, user: Tensor, start: Tensor
    ) -> Tensor:
        outputs = functional_call(voices.head, {**layout.tensors(vector), **buffers}, (x,))
        value = (voices.method.loss(outputs, target, user, voices.options) * share).sum()
        if work.proximal:
            value = value + 0.5 * work.proximal * (vector - start).square().sum()
        return value

    step_of = vmap(grad_and_value(loss_of))
    for step, busy in enumerate(table.busy):
        rows, marked, share = (part[step, busy] for part in (table.rows, table.triggered, table.share))
        x = inputs(rows.flatten(), marked.flatten(), plans[0].augmentation).view(*rows.shape, -1)
        users = own[busy]
        pushed, value = step_of(now[busy], x, share, voices.targets[users], users, starts[busy])
        now[busy] -= work.rate * pushed
        held = (share > 0).sum(1)
        loss_sum[busy] += value * held
        clips[busy] += held
    means = (loss_sum / clips).tolist()
    ends = _alone(voices, layout, starts, now)
    return [Learned(ends[k], len(plan.batches), means[k]) for k, plan in enumerate(plans)]


def _alone(voices: Voices, layout: Layout, starts: Tensor, ends: Tensor) -> Tensor:
    """Makes up for the mean over users: what only one of them moves counts as if alone (FedAWS)."""
    if not voices.method.NEEDS_ROWS or not voices.method.SOLE_ROWS:
        return ends
    sole = layout.vector({n: torch.full(shape, float(n == ROWS)) for n, shape in layout.shapes}) > 0
    return torch.where(sole, starts + voices.cohort * (ends - starts), ends)
