"""Changes weights inside a network by gradients, without forgetting: replay, distillation, L2-SP or EWC."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.learning import integer_weights, quantized
from kwsctl.learning.adapters._enrolment import Enrolment, rivals
from kwsctl.learning.adapters._row import Row, first_row
from kwsctl.learning.cost import Cost, measured
from kwsctl.learning.frozen import Frozen
from kwsctl.learning.lean import lean_activations
from kwsctl.learning.loop import Batch, Judge, Judged, fit
from kwsctl.learning.precision import bits_of
from kwsctl.learning.schedule import warmup_cosine
from kwsctl.seeding import torch_generator

BATCH = 48
POSITIVE_SHARE = 1 / 3
POSITIVES = round(BATCH * POSITIVE_SHARE)
STEPS = 40
DISTILLATION = 20.0

Choose = Callable[[nn.Module], Sequence[nn.Parameter]]
"""Gives the weights of a network that are to be tuned."""
Importance = Callable[[Enrolment, nn.Module, Sequence[nn.Parameter]], Sequence[Tensor]]
"""Tells how much each of these weights of a network matters, on average 1."""


@dataclass(frozen=True)
class Tuning:
    """How weights are tuned.

    Attributes:
        choose: gives the weights.
        learning_rate: the highest.
        stay: lambda of L2-SP, or of EWC where the weights differ in importance.
        pieces: in how many a batch is run.
        lean: keep no activation that no chosen weight needs.
        steps: of the optimizer.
        distillation: weight of keeping the embeddings of the negatives.
        importance: of the weights, for EWC; by default all matter alike.
    """

    choose: Choose
    learning_rate: float
    stay: float
    pieces: int = 1
    lean: bool = False
    steps: int = STEPS
    distillation: float = DISTILLATION
    importance: Importance | None = None


FIXED = Tuning(lambda _: [], 0.0, 0.0)
"""Nothing is tuned."""


class _Tuned(Frozen):
    """A network that gives embeddings and logits."""

    def __init__(self, network: nn.Module, lean: bool) -> None:
        super().__init__(network)
        self.lean = lean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features [B, F, T] to embeddings [B, E] and logits [B, L]."""
        with lean_activations() if self.lean else contextlib.nullcontext():
            embedding = cast(Any, self.network).embed(x)
            return embedding, cast(nn.Linear, self.network.head)(embedding)


def tune(
    task: Enrolment,
    choose: Choose,
    *,
    learning_rate: float,
    stay: float,
) -> nn.Module:
    """Tunes some weights of the base, see `tuned`.

    Args:
        task: base, keyword, clips and negatives.
        choose: gives the weights to tune.
        learning_rate: the highest.
        stay: lambda of L2-SP.

    Returns:
        The tuned network.
    """
    return tuned(task, Tuning(choose, learning_rate, stay))


def tuned(task: Enrolment, how: Tuning) -> nn.Module:
    """Tunes some weights of the base, beginning with a first row for a new keyword.

    Each batch replays stored negatives beside the person's clips, varied anew. On the negatives the
    embedding must stay what it was (distillation), and each weight near what it was (L2-SP, Li et al. 2018,
    arXiv 1802.01483, equation 2).

    Args:
        task: base, keyword, clips and negatives.
        how: what to tune and how.

    Returns:
        The tuned network.
    """
    network, free = _prepared(task, how)
    judge = _judge(task, free, how, network)
    optimizer = torch.optim.AdamW(free, lr=how.learning_rate, weight_decay=0.0)
    integer_weights.keep_on_grid(optimizer, network)
    fit(
        _Tuned(network, how.lean),
        lambda epoch: _batches(task, epoch, how.steps),
        judge,
        optimizer,
        epochs=1,
        steps_per_epoch=how.steps,
        learning_rate=warmup_cosine(how.learning_rate, how.steps // 10, how.steps),
        pieces=how.pieces,
    )
    if quantized.layers_of(network):
        quantized.restore(network)
    return network.eval()


def spent(task: Enrolment, how: Tuning) -> Cost:
    """Measures what a step of `tuned` takes; nothing is learned.

    Args:
        task: base, keyword, clips and negatives.
        how: what to tune and how.

    Returns:
        The cost of the largest piece of a batch, with gradients and optimizer of all chosen weights.
    """
    network, free = _prepared(task, how)
    judge = _judge(task, free, how, network)
    piece = next(_batches(task, 0, 1)).parts(how.pieces)[0]
    model = _Tuned(network, how.lean)
    return measured(
        model,
        lambda net: judge(net(piece.features), piece).loss,
        len(piece.target),
        bits=bits_of(task.precision),
    )


def loss_of(task: Enrolment, network: nn.Module, draw: str) -> float:
    """Gives the loss of a tuned network on the person's clips, varied in another way, and on negatives."""
    batch = next(_batches(task, 0, 1, draw))
    with torch.no_grad():
        output = _Tuned(network, lean=False)(batch.features)
        return float(_judge(task, [], FIXED, network)(output, batch).loss)


def _prepared(task: Enrolment, how: Tuning) -> tuple[nn.Module, list[nn.Parameter]]:
    """Copies the base, gives it the row of a new keyword, and frees what is to be tuned."""
    network = copy.deepcopy(task.network)
    row = _first_row(task)
    head = cast(nn.Linear, network.head)
    if task.is_new:
        weight, bias = torch.cat([head.weight, row.weight[None]]), torch.cat([head.bias, row.bias[None]])
        head.weight, head.bias = nn.Parameter(weight), nn.Parameter(bias)
        head.out_features += 1
    network.requires_grad_(False)
    free = list(how.choose(network))
    for part in free:
        part.requires_grad_(True)
    if bits := bits_of(task.precision):
        quantized.quantize(network, bits, task.quantization, task.seed)
        judge, batch = _judge(task, [], how, network), next(_batches(task, 0, 1))
        with quantized.calibrating(network):
            judge(_Tuned(network, how.lean)(batch.features), batch).loss.backward()  # type: ignore[no-untyped-call]
    return network, free


def _first_row(task: Enrolment) -> Row:
    """Fits the row to begin with, once for all tunings of a task."""
    if "first_row" not in task.__dict__:
        task.__dict__["first_row"] = first_row(task)
    return cast(Row, task.__dict__["first_row"])


def _batches(task: Enrolment, epoch: int, steps: int, name: str = "tuning") -> Iterator[Batch]:
    draw = torch_generator(task.seed, name, epoch)
    copies = -(-POSITIVES // len(task.power))
    for step in range(steps):
        positive = task.varied(copies, f"{name} {step}")
        positive = positive[torch.randperm(len(positive), generator=draw)[:POSITIVES]]
        rows = torch.randint(len(task.negatives), (BATCH - len(positive),), generator=draw)
        target = torch.zeros(BATCH, dtype=torch.long)
        target[: len(positive)] = 1
        yield Batch(
            torch.cat([positive, task.negatives[rows]]),
            target,
            torch.cat([torch.full((len(positive),), -1), rows]),
        )


def _judge(task: Enrolment, free: Sequence[nn.Parameter], how: Tuning, network: nn.Module) -> Judge:
    before = [part.detach().clone() for part in free]
    matters = [torch.ones(())] * len(free)
    if how.importance is not None and free:
        matters = list(how.importance(task, network, free))
    taught = task.negative_embeddings
    size = taught.square().sum(1).mean()

    def judge(output: tuple[Tensor, Tensor], batch: Batch) -> Judged:
        # Sums over clips that are weighed for the whole batch, so that a piece of it gives its part.
        embedding, logits = output
        margin = logits[:, task.row] - rivals(task.base.task, logits, task.row)
        is_keyword = batch.target == 1
        negatives = BATCH - POSITIVES
        value = (
            fn.softplus(-margin[is_keyword]).sum() / POSITIVES
            + fn.softplus(margin[~is_keyword]).sum() / negatives
        )
        away = embedding[~is_keyword] - taught[batch.rows[~is_keyword]]
        moved = away.square().sum() / negatives / size
        changed = zip(free, before, matters, strict=True)
        drift = sum(((m * (a - b).square()).sum() for a, b, m in changed), torch.zeros(()))
        right = ((margin > 0) == is_keyword).sum()
        loss = value + how.distillation * moved + how.stay * drift * (len(batch.target) / BATCH)
        return Judged(loss, float(right))

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
