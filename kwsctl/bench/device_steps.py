"""Learning on a device: a few clips of one person, one or a few at a time, with rounded numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bench import repeats
from kwsctl.bench.remembered import remembered
from kwsctl.bench.repeats import Accuracy, HeldOut
from kwsctl.bundle import Bundle
from kwsctl.learning import integer_weights, quantized
from kwsctl.learning.loop import Batch, Judged, fit
from kwsctl.learning.precision import Quantization
from kwsctl.learning.traffic import Bits
from kwsctl.seeding import torch_generator

LEARNING_RATE = 0.002
CALIBRATION = 16


@dataclass(frozen=True)
class Way:
    """One way to learn on a device.

    Attributes:
        estimator: of the ranges; empty for full precision, `before` for no learning at all.
        weights: `float` keeps them in full precision, `scaled` and `unscaled` store them as integers with and
            without scaled gradients; `folded` is full precision where normalization does not learn, as it
            does not where weights are stored as integers.
        rate: of learning, as a multiple of the usual.
    """

    estimator: str
    weights: Literal["float", "folded", "scaled", "unscaled"] = "float"
    rate: float = 1.0


@dataclass(frozen=True)
class DeviceRow:
    """What one way to learn gave.

    Attributes:
        estimator: of the ranges; empty for full precision, `before` for no learning at all.
        batch_size: clips in a step.
        accuracy: on the clips of the person that were not learned from; over people.
        gradients_clipped: share of the gradients that were outside their range.
        activations_clipped: share of the activations.
        range_lag: how far the ranges of gradients were from the tensors' own, as a share of the latter's
            width.
        weights: how they are stored, see `Way`.
        rate: of learning, as a multiple of the usual.
    """

    estimator: str
    batch_size: int
    accuracy: Accuracy
    gradients_clipped: float
    activations_clipped: float
    range_lag: float
    weights: str = "float"
    rate: float = 1.0


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
    bases: Sequence[Bundle],
    people: HeldOut,
    ways: Sequence[Way],
    batch_sizes: Sequence[int],
    folder: Path,
    *,
    steps: int,
    clips: int,
    seed: int,
) -> tuple[tuple[DeviceRow, ...], int]:
    """Lets each person's device learn in each way.

    Plain gradient descent, as a device has no room for more; every step takes the next clips of a shuffled
    list.

    Args:
        bases: what all devices begin with, one for each seed.
        people: their clips.
        ways: to learn.
        batch_sizes: clips in a step.
        folder: where results are kept for a bench that goes on.
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
    before = [repeats.answers(base.model(), tested) for base in bases]
    rows = [DeviceRow("before", 0, repeats.accuracy(before, tested), 0, 0, 0)]
    for size in batch_sizes:
        for way in ways:
            found = [
                remembered(
                    folder,
                    "device",
                    [base.sha256, dataclasses.asdict(way), size, steps, clips, seed, LEARNING_RATE],
                    functools.partial(_one_by_one, base, people, learn, tested, way, size, steps, seed),
                )
                for base in bases
            ]
            told = [facts for one in found for facts in one["told"]]
            means = {key: float(np.mean([t[key] for t in told])) for key in told[0]}
            rows.append(
                DeviceRow(
                    way.estimator,
                    size,
                    repeats.accuracy([np.array(one["right"]) for one in found], tested),
                    means.get("gradients_clipped", 0.0),
                    means.get("activations_clipped", 0.0),
                    means.get("gradients_range_lag", 0.0),
                    way.weights,
                    way.rate,
                )
            )
    return tuple(rows), len(tested.speakers)


def _one_by_one(
    base: Bundle,
    people: HeldOut,
    learn: NDArray[np.bool_],
    tested: HeldOut,
    way: Way,
    size: int,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Lets the device of one person after the other learn, and tests it on their other clips."""
    right, told = np.zeros(len(tested.speakers)), []
    for name in np.unique(people.speakers):
        network = base.model()
        own = _some(people, learn & (people.speakers == name))
        told.append(_tune(network, own, way, size, steps, seed))
        others = tested.speakers == name
        right[others] = repeats.answers(network, _some(tested, others))
    return {"right": right.tolist(), "told": told}


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
    network: nn.Module, own: HeldOut, way: Way, batch_size: int, steps: int, seed: int
) -> dict[str, float]:
    """Learns from one person's clips, in place, and tells what became of the numbers."""
    if way.weights != "float":  # a device folds normalization into the weights before it
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
                module.requires_grad_(False)
    if way.estimator:
        how = Quantization(
            estimator=way.estimator,
            storage="integer" if way.weights in ("scaled", "unscaled") else "float",
            gradient_scaling=way.weights != "unscaled",
        )
        quantized.quantize(network, Bits(), how, seed)
        with quantized.calibrating(network):
            logits = network(own.features[:CALIBRATION])
            fn.cross_entropy(logits, own.target[:CALIBRATION]).backward()  # type: ignore[no-untyped-call]
    rate = LEARNING_RATE * way.rate
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=rate)
    integer_weights.keep_on_grid(optimizer, network)
    fit(
        _Evaluating(network),
        lambda epoch: _batches(own, batch_size, steps, seed),
        _judge,
        optimizer,
        epochs=1,
        steps_per_epoch=steps,
        learning_rate=lambda _: rate,
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
