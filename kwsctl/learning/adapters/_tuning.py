"""Changes weights inside a network by gradients, without forgetting: replay, distillation and L2-SP."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.learning.adapters._enrolment import Enrolment, rivals
from kwsctl.learning.adapters._row import first_row
from kwsctl.learning.loop import Batch, Judged, fit
from kwsctl.learning.schedule import warmup_cosine
from kwsctl.seeding import torch_generator

BATCH = 48
POSITIVE_SHARE = 1 / 3
STEPS = 40
DISTILLATION = 20.0


class _Frozen(nn.Module):
    """A network whose normalization keeps its statistics: few clips of one voice would spoil them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> _Frozen:
        """Leaves the network in evaluation mode."""
        self.training = mode
        self.network.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features [B, F, T] to embeddings [B, E] and logits [B, L]."""
        embedding = cast(Any, self.network).embed(x)
        return embedding, cast(nn.Linear, self.network.head)(embedding)


def tune(
    task: Enrolment,
    choose: Callable[[nn.Module], Sequence[nn.Parameter]],
    *,
    learning_rate: float,
    stay: float,
) -> nn.Module:
    """Tunes some weights of the base, beginning with a first row for a new keyword.

    Each batch replays stored negatives beside the person's clips, varied anew. On the negatives the
    embedding must stay what it was (distillation), and each weight near what it was (L2-SP, Li et al. 2018,
    arXiv 1802.01483, equation 2).

    Args:
        task: base, keyword, clips and negatives.
        choose: gives the weights to tune.
        learning_rate: the highest.
        stay: lambda of L2-SP.

    Returns:
        The tuned network.
    """
    network = copy.deepcopy(task.network)
    row = first_row(task)
    head = cast(nn.Linear, network.head)
    if task.is_new:
        weight, bias = torch.cat([head.weight, row.weight[None]]), torch.cat([head.bias, row.bias[None]])
        head.weight, head.bias = nn.Parameter(weight), nn.Parameter(bias)
        head.out_features += 1
    free = list(choose(network))
    for part in free:
        part.requires_grad_(True)
    before = [part.detach().clone() for part in free]
    judge = _judge(task, free, before, stay)
    fit(
        _Frozen(network),
        lambda epoch: _batches(task, epoch),
        judge,
        torch.optim.AdamW(free, lr=learning_rate, weight_decay=0.0),
        epochs=1,
        steps_per_epoch=STEPS,
        learning_rate=warmup_cosine(learning_rate, STEPS // 10, STEPS),
    )
    return network.eval()


def _batches(task: Enrolment, epoch: int) -> Iterator[Batch]:
    draw = torch_generator(task.seed, "tuning", epoch)
    n_positive = round(BATCH * POSITIVE_SHARE)
    copies = -(-n_positive // len(task.power))
    for step in range(STEPS):
        positive = task.varied(copies, f"tuning {step}")
        positive = positive[torch.randperm(len(positive), generator=draw)[:n_positive]]
        rows = torch.randint(len(task.negatives), (BATCH - len(positive),), generator=draw)
        target = torch.zeros(BATCH, dtype=torch.long)
        target[: len(positive)] = 1
        yield Batch(
            torch.cat([positive, task.negatives[rows]]),
            target,
            torch.cat([torch.full((len(positive),), -1), rows]),
        )


def _judge(
    task: Enrolment, free: Sequence[Tensor], before: Sequence[Tensor], stay: float
) -> Callable[[Any, Batch], Judged]:
    taught = task.negative_embeddings
    size = taught.square().sum(1).mean()

    def judge(output: tuple[Tensor, Tensor], batch: Batch) -> Judged:
        embedding, logits = output
        margin = logits[:, task.row] - rivals(task.base.task, logits, task.row)
        is_keyword = batch.target == 1
        value = fn.softplus(-margin[is_keyword]).mean() + fn.softplus(margin[~is_keyword]).mean()
        moved = (embedding[~is_keyword] - taught[batch.rows[~is_keyword]]).square().sum(1).mean() / size
        drift = sum(((a - b).square().sum() for a, b in zip(free, before, strict=True)), torch.zeros(()))
        right = ((margin > 0) == is_keyword).sum()
        return Judged(value + DISTILLATION * moved + stay * drift, float(right))

    return judge


def changes(task: Enrolment, tuned: nn.Module) -> dict[str, Tensor]:
    """Gives what differs from the base, by name; for a grown head, with the new row."""
    base = task.network.state_dict()
    found = {}
    for name, after in tuned.state_dict().items():
        before = base[name]
        if after.shape != before.shape:
            before = torch.cat([before, before.new_zeros(after.shape[0] - before.shape[0], *after.shape[1:])])
        if not torch.equal(after, before):
            found[name] = (after - before).detach()
    return found
