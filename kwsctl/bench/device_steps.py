"""Learning on a device: a few clips of one person, one or a few at a time, with rounded numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bench import repeats
from kwsctl.bench.repeats import Accuracy, HeldOut
from kwsctl.bundle import Bundle
from kwsctl.learning import quantized
from kwsctl.learning.loop import Batch, Judged, fit
from kwsctl.learning.precision import Quantization
from kwsctl.learning.traffic import Bits
from kwsctl.seeding import torch_generator

LEARNING_RATE = 0.002
CALIBRATION = 16


@dataclass(frozen=True)
class DeviceRow:
    """One way to learn.

    Attributes:
        estimator: of the ranges; empty for full precision, `before` for no learning at all.
        batch_size: clips in a step.
        accuracy: on the clips of the person that were not learned from; over people.
        gradients_clipped: share of the gradients that were outside their range.
        activations_clipped: share of the activations.
        range_lag: how far the ranges of gradients were from the tensors' own, as a share of the latter's
            width.
    """

    estimator: str
    batch_size: int
    accuracy: Accuracy
    gradients_clipped: float
    activations_clipped: float
    range_lag: float


class _Evaluating(nn.Module):
    """A network whose normalization keeps its statistics, while it learns.

    Args:
        network: to be tuned.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> _Evaluating:
        """Leaves the network in evaluation mode."""
        self.training = mode
        self.network.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.network(x)
        return logits


def learned_on_device(
    base: Bundle,
    people: HeldOut,
    estimators: Sequence[str],
    batch_sizes: Sequence[int],
    *,
    steps: int,
    clips: int,
    seed: int,
) -> tuple[tuple[DeviceRow, ...], int]:
    """Lets each person's device learn in eight bits with each estimator, and in full precision.

    Plain gradient descent, as a device has no room for more; every step takes the next clips of a shuffled
    list.

    Args:
        base: what all devices begin with.
        people: their clips.
        estimators: files in `learning/estimators/`.
        batch_sizes: clips in a step.
        steps: of gradient descent.
        clips: of each word to learn from.
        seed: of the order of clips and of rounding.

    Returns:
        One row for each way, and how many clips were tested.
    """
    if not batch_sizes:
        return (), 0
    learn, test = _parts(people, clips)
    tested = _some(people, test)
    rows = [
        DeviceRow("before", 0, repeats.accuracy([repeats.answers(base.model(), tested)], tested), 0, 0, 0)
    ]
    for size in batch_sizes:
        for estimator in ("", *estimators):
            right = np.zeros(len(tested.speakers))
            told = []
            for name in np.unique(people.speakers):
                network = base.model()
                facts = _tune(
                    network, _some(people, learn & (people.speakers == name)), estimator, size, steps, seed
                )
                own = tested.speakers == name
                right[own] = repeats.answers(network, _some(tested, own))
                told.append(facts)
            means = {key: float(np.mean([t[key] for t in told])) for key in told[0]}
            rows.append(
                DeviceRow(
                    estimator,
                    size,
                    repeats.accuracy([right], tested),
                    means.get("gradients_clipped", 0.0),
                    means.get("activations_clipped", 0.0),
                    means.get("gradients_range_lag", 0.0),
                )
            )
    return tuple(rows), len(tested.speakers)


def _parts(people: HeldOut, clips: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Takes the first clips of each word by each person to learn from, the others to test."""
    learn = np.zeros(len(people.speakers), dtype=bool)
    target = people.target.numpy()
    for name in np.unique(people.speakers):
        for label in np.unique(target):
            learn[np.flatnonzero((people.speakers == name) & (target == label))[:clips]] = True
    return learn, ~learn


def _some(people: HeldOut, rows: NDArray[np.bool_]) -> HeldOut:
    chosen = torch.from_numpy(rows)
    return HeldOut(people.features[chosen], people.target[chosen], people.speakers[rows], people.labels)


def _tune(
    network: nn.Module, own: HeldOut, estimator: str, batch_size: int, steps: int, seed: int
) -> dict[str, float]:
    """Learns from one person's clips, in place, and tells what became of the numbers."""
    if estimator:
        quantized.quantize(network, Bits(), Quantization(estimator=estimator), seed)
        with quantized.calibrating(network):
            logits = network(own.features[:CALIBRATION])
            fn.cross_entropy(logits, own.target[:CALIBRATION]).backward()  # type: ignore[no-untyped-call]
    fit(
        _Evaluating(network),
        lambda epoch: _batches(own, batch_size, steps, seed),
        _judge,
        torch.optim.SGD(network.parameters(), lr=LEARNING_RATE),
        epochs=1,
        steps_per_epoch=steps,
        learning_rate=lambda _: LEARNING_RATE,
    )
    return quantized.told(network)


def _batches(own: HeldOut, batch_size: int, steps: int, seed: int) -> Iterator[Batch]:
    draw = torch_generator(seed, "device", batch_size)
    rounds = -(-steps * batch_size // len(own.target))
    order = torch.cat([torch.randperm(len(own.target), generator=draw) for _ in range(rounds)])
    for rows in torch.split(order, batch_size)[:steps]:
        yield Batch(own.features[rows], own.target[rows], rows)


def _judge(logits: Tensor, batch: Batch) -> Judged:
    right = (logits.argmax(1) == batch.target).sum()
    return Judged(fn.cross_entropy(logits, batch.target), float(right))
