"""Fine-tunes a network with quantization in the loop, so that its quantized form hears what it heard before.

The inputs of all convolutions and linear layers and the weights are rounded while it learns
(quantization-aware training, Jacob et al. 2018, arXiv 1712.05877, section 3; by `learning/quantized.py`),
and it learns to give the embedding and the scores that the float network gives: distillation, so that no
labels are needed and whoever was enrolled on the float network stays enrolled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.export import graphs
from kwsctl.export.heard import Heard
from kwsctl.export.htp_safe import htp_safe
from kwsctl.learning import quantized
from kwsctl.learning.loop import Batch, Judged, fit
from kwsctl.learning.precision import Quantization
from kwsctl.learning.schedule import warmup_cosine
from kwsctl.learning.traffic import Bits
from kwsctl.progress import Progress, silent
from kwsctl.seeding import torch_generator

BATCH, CALIBRATION_BATCHES, LEAST_WINDOWS = 48, 8, 100
NOISE = 0.05
ROUNDING = Quantization(weights="channel", rounding="nearest")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network that learned with quantization in the loop.

    Attributes:
        bundle: with its weights.
        graph: of one window, in float, safe on the HTP.
        steps: that it took.
        loss: of the last twentieth of them: squared error of the embedding as a share of its spread, and the
            divergence of the scores.
        loss_first: of the first twentieth.
    """

    bundle: Bundle
    graph: onnx.ModelProto = field(repr=False)
    steps: int
    loss: float
    loss_first: float


class _Quiet(nn.Module):
    """A network that gives its embeddings, and whose normalization keeps its statistics."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> _Quiet:
        """Trains all but the normalization."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, NORMS):
                module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps features [B, F, T] to the embedding [B, E], and the voice [B, S] if there is one."""
        net = cast(Any, self.network)
        return tuple(net.both(x)) if graphs.has_voice(net) else (net.embed(x),)


def finetuned(
    bundle: Bundle, heard: Heard, *, steps: int, rate: float, seed: int = 0, progress: Progress = silent
) -> Tuned:
    """Fine-tunes a network for eight bits.

    Args:
        bundle: the float model; its head stays as it is.
        heard: windows to learn from, none of them compared on.
        steps: how many, of 48 windows each.
        rate: the highest learning rate.
        seed: of the order of windows and of the noise.
        progress: counts steps.

    Returns:
        The tuned network.

    Raises:
        InputError: too few windows, or a network that cannot learn quantized.
    """
    if len(heard) < LEAST_WINDOWS:
        raise InputError(
            f"{len(heard)} windows are too few to fine-tune with.",
            f"Give {LEAST_WINDOWS} or more clips of another split in --data, or leave --qat out.",
        )
    exact, student = _Quiet(bundle.model()).eval(), _Quiet(bundle.model())
    for module in student.modules():
        if hasattr(module, "keeping"):  # one that rebuilds activations would round them twice
            cast(Any, module).keeping = "everything"
    quantized.quantize(student, Bits(8, 8, 8), ROUNDING, seed)
    features = torch.from_numpy(heard.features)
    taught = _taught(exact, features)
    with quantized.calibrating(student), torch.no_grad():
        for part in torch.split(features[: BATCH * CALIBRATION_BATCHES], BATCH):
            student.eval()(part)
    losses: list[float] = []
    head = cast(nn.Linear, cast(Any, exact.network).head)

    def judge(found: tuple[Tensor, ...], batch: Batch) -> Judged:
        loss = _loss(
            found, [part[batch.rows] for part in taught], head if bundle.labels else None, bundle.task
        )
        losses.append(float(loss.detach()))
        return Judged(loss, 0.0)

    learns = [p for n, p in student.named_parameters() if not n.startswith("network.head.")]
    fit(
        student,
        lambda _: _batches(features, steps, seed),
        judge,
        torch.optim.Adam(learns, lr=rate),
        epochs=1,
        steps_per_epoch=steps,
        learning_rate=warmup_cosine(rate, max(1, steps // 20), steps),
        progress=progress,
    )
    state = quantized.without_ranges(student.network.state_dict())
    weights = {name: state[name].detach() for name in bundle.weights}
    tuned = dataclasses.replace(bundle, weights=weights)
    few = max(1, steps // 20)
    return Tuned(
        bundle=tuned,
        graph=htp_safe(graphs.window_graph(tuned)).model,
        steps=steps,
        loss=sum(losses[-few:]) / few,
        loss_first=sum(losses[:few]) / few,
    )


@torch.no_grad()
def _taught(exact: nn.Module, features: Tensor) -> list[Tensor]:
    """What the float network gives for every window."""
    parts = [exact(part) for part in torch.split(features, BATCH)]
    return [torch.cat(outputs) for outputs in zip(*parts, strict=True)]


def _batches(features: Tensor, steps: int, seed: int) -> Iterator[Batch]:
    """Yields windows in random order, again and again, with a little noise: unseen ones are not the same."""
    draw = torch_generator(seed, "quantization-aware")
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(features), generator=draw)])
        rows, order = order[:BATCH], order[BATCH:]
        x = features[rows]
        x = x + NOISE * torch.randn(x.shape, generator=draw)
        yield Batch(x, rows, rows)


def _loss(found: tuple[Tensor, ...], taught: list[Tensor], head: nn.Linear | None, task: str) -> Tensor:
    """Squared error of the outputs as a share of their spread, and the divergence of the scores."""
    loss = sum(
        ((x - y).square().mean() / y.var().clamp_min(1e-12) for x, y in zip(found, taught, strict=True)),
        torch.zeros(()),
    )
    if head is None:
        return loss
    said, exact = (fn.linear(x, head.weight.detach(), head.bias.detach()) for x in (found[0], taught[0]))
    if task == "wake":
        return loss + fn.binary_cross_entropy_with_logits(said, exact.sigmoid())
    return loss + fn.kl_div(said.log_softmax(1), exact.log_softmax(1), log_target=True, reduction="batchmean")
