"""What one client does: it takes the shared weights, trains on its own clips, and tells what changed.

Everything goes through the one training loop (`kwsctl.learning.loop.fit`); FedProx and SCAFFOLD are terms
that are added to its loss. One network is resident and takes the weights of one client after the other, so
that memory does not grow with the number of clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD

from kwsctl.bundle import Bundle, Task
from kwsctl.errors import InputError
from kwsctl.federated.layout import Layout, layout_of
from kwsctl.federated.lessons import Inputs, Lesson
from kwsctl.learning import losses, quantized
from kwsctl.learning.frozen import Frozen
from kwsctl.learning.loop import Batch, EpochFacts, Judge, Judged, fit
from kwsctl.learning.precision import FULL, Quantization, bits_of
from kwsctl.learning.schedule import constant

Part = Literal["full", "head", "vectors"]


@dataclass(frozen=True)
class LocalWork:
    """How a client trains.

    Attributes:
        rate: learning rate of SGD.
        smoothing: of labels, see `kwsctl.learning.losses`.
        proximal: mu of FedProx: pull towards the shared weights (Li et al. 2020, arXiv 1812.06127, eq. 2).
    """

    rate: float
    smoothing: float = 0.0
    proximal: float = 0.0


@dataclass(frozen=True, eq=False)
class Learned:
    """What a client has when it is done.

    Attributes:
        weights: [P] the trained weights.
        steps: local steps.
        loss: mean over the clips.
    """

    weights: Tensor
    steps: int
    loss: float


def part_names(network: nn.Module, part: Part) -> tuple[str, ...]:
    """Names the weights that are trained: all, the head, or all vectors (biases and normalization)."""
    named = dict(network.named_parameters())
    if part == "head":
        return tuple(name for name in named if name.startswith("head."))
    if part == "vectors":
        return tuple(name for name, weight in named.items() if weight.ndim == 1)
    return tuple(named)


class _Head(nn.Module):
    """A head alone, for inputs that are embeddings."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Maps embeddings [B, E] to logits [B, L]."""
        return cast(Tensor, self.head(x))


class _Steady(Frozen):
    """A network that gives logits; the batch statistics of one device would mislead all others."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        return cast(Tensor, self.network(x))


class Resident:
    """The one network that all clients use in turn.

    Attributes:
        network: whole, or the head alone.
        layout: of the weights that are trained.
        task: of the bundle.
        device: where it is.

    Args:
        base: where it comes from.
        part: what is trained.
        on_embeddings: inputs are cached embeddings; for the part `head` only.
        precision: that clients learn with.
        quantization: how their numbers are put on grids.
        head: what is trained on cached embeddings, if it is not the head of the bundle.
        device: where it learns and answers; weights come from the CPU and go back there.
    """

    def __init__(
        self,
        base: Bundle,
        part: Part,
        *,
        on_embeddings: bool = False,
        precision: str = FULL,
        quantization: Quantization | None = None,
        head: nn.Module | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.task: Task = base.task
        self.device = device or torch.device("cpu")
        if head is not None:
            self.network = self._trained = head
            self._weights = dict(head.named_parameters())
            self.layout: Layout = layout_of(self._weights)
            return
        if on_embeddings and part != "head":
            raise InputError(f"Cached embeddings cannot train the part {part!r}.", "Use part=head.")
        network = base.model().to(self.device)
        names = part_names(network, part)
        for name, weight in network.named_parameters():
            weight.requires_grad_(name in names)
        self.network = _Head(cast(nn.Module, network.head)) if on_embeddings else network
        self._weights = {name: weight for name, weight in self.network.named_parameters() if name in names}
        self.layout = layout_of(self._weights)
        has_batch_norm = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules())
        self._trained = _Steady(self.network) if has_batch_norm or on_embeddings else self.network
        if bits := bits_of(precision):
            quantized.quantize(self.network, bits, quantization or Quantization())

    def load(self, vector: Tensor) -> None:
        """Puts weights [P] in."""
        with torch.no_grad():
            for name, tensor in self.layout.tensors(vector).items():
                self._weights[name].copy_(tensor)

    def vector(self) -> Tensor:
        """Takes the weights [P] out."""
        return self.layout.vector(self._weights).cpu()

    def while_learning(self) -> nn.Module:
        """Gives the network as it is while it learns, statistics of normalization as they are."""
        self._trained.train()
        return self.network

    def logits(self, vector: Tensor, inputs: Tensor) -> Tensor:
        """Gives what weights [P] say of inputs [B, ...], in full precision and without gradients."""
        self.load(vector)
        self.network.eval()
        with torch.no_grad(), quantized.resting(self.network):
            return cast(Tensor, self.network(inputs.to(self.device))).float().cpu()

    def learn(
        self, start: Tensor, plan: Lesson, inputs: Inputs, work: LocalWork, correction: Tensor | None = None
    ) -> Learned:
        """Trains on one client's clips.

        Args:
            start: [P] where it begins.
            plan: rows, labels and steps.
            inputs: gives the inputs of rows.
            work: how.
            correction: [P] added to every gradient (SCAFFOLD).

        Returns:
            The weights after the last step.
        """
        self.load(start)
        weights = [self._weights[name] for name in self.layout.names]
        facts: list[EpochFacts] = []
        optimizer = SGD(weights, lr=work.rate)
        judge = _judge(self.task, work, weights, start, correction)
        self._calibrate(plan, inputs, judge)

        def note(found: EpochFacts) -> bool:
            facts.append(found)
            return False

        # Dropout draws from torch's own generator: what it draws is this client's in this round, too.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.augmentation.initial_seed())
            fit(
                self._trained,
                lambda _epoch: _batches(plan, inputs),
                judge,
                optimizer,
                epochs=1,
                steps_per_epoch=len(plan.batches),
                learning_rate=constant(work.rate),
                on_epoch=note,
            )
        return Learned(self.vector(), len(plan.batches), facts[0].loss)

    def _calibrate(self, plan: Lesson, inputs: Inputs, judge: Judge) -> None:
        """Lets a quantized network see a client's first batch, for the ranges that it begins with.

        Ranges and random numbers are those of this client in this round alone, whoever was here before.
        """
        if not quantized.layers_of(self.network):
            return
        state = plan.augmentation.get_state()
        quantized.begin_anew(self.network, plan.augmentation.initial_seed())
        batch = next(_batches(plan, inputs))
        plan.augmentation.set_state(state)
        with quantized.calibrating(self.network):
            judge(self._trained.train()(batch.features), batch).loss.backward()  # type: ignore[no-untyped-call]


def head_part(names: tuple[str, ...], pattern: str) -> tuple[str, ...]:
    """Gives the names that a pattern finds, such as `head` for the personal layers."""
    return tuple(name for name in names if re.search(pattern, name))


def loss_of(task: Task, smoothing: float, *, each: bool = False) -> losses.Loss:
    """Gives the loss of a task, the mean or of each clip."""
    make = losses.keyword_loss if task == "keywords" else losses.wake_loss
    return make(smoothing, each=each)


def _batches(plan: Lesson, inputs: Inputs) -> Iterator[Batch]:
    for positions in plan.batches:
        rows = plan.rows[positions]
        yield Batch(inputs(rows, plan.triggered[positions], plan.augmentation), plan.target[positions], rows)


def _judge(
    task: Task, work: LocalWork, weights: list[nn.Parameter], start: Tensor, correction: Tensor | None
) -> Judge:
    plain = losses.classification(loss_of(task, work.smoothing))
    if not work.proximal and correction is None:
        return plain
    first = start.clone()

    def judge(output: Tensor, batch: Batch) -> Judged:
        judged = plain(output, batch)
        now = torch.cat([weight.reshape(-1) for weight in weights])
        more = 0.5 * work.proximal * (now - first).square().sum()
        if correction is not None:  # a linear term has the correction as its gradient
            more = more + now @ correction
        # The terms push, but the loss that is told stays that of the clips.
        return Judged(judged.loss + (more - more.detach()), judged.right)

    return judge


def changes_between(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Subtracts weights by name."""
    return {name: after[name] - before[name] for name in after}
