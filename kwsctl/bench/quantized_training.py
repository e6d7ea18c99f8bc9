"""What ranges cost and give in quantized training, from the start and on a device.

A global model is trained from the start with each range estimator, and tested as it was trained, with
rounded weights and activations, on people it never heard. Then the full-precision one learns from a few
clips of each of these people, one or a few clips at a time, which is what a device does; there ranges
change faster than an average can follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as fn

from kwsctl import architecture, registry
from kwsctl.bench import repeats
from kwsctl.bench.device_steps import DeviceRow, Way, learned_on_device
from kwsctl.bench.repeats import Accuracy, HeldOut
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.features.augmentation import Augmentation
from kwsctl.learning import cost, quantized
from kwsctl.learning.precision import ESTIMATORS, FULL, Quantization, bits_of
from kwsctl.learning.traffic import Bits
from kwsctl.learning.train_options import TrainOptions
from kwsctl.options import from_mapping
from kwsctl.progress import Progress, silent

RECIPE: Mapping[str, Any] = {
    "keep": "last",
    "learning_rate": 4e-3,
    "room_share": 0.0,
    "label_smoothing": 0.05,
    "ema_decay": 0.99,
    "augmentation": Augmentation(noise_share=0.5, time_masks=2, mel_masks=2),
}
FULL_BITS = Bits(32, 32, 32)


@dataclass(frozen=True)
class QuantizedTrainingOptions:
    """How to measure.

    Attributes:
        words: how many of the corpus's words to learn.
        arch: file in `models/`.
        network: fields of its `Config`.
        epochs: of each training.
        batch_size: of each training.
        seeds: networks for full precision and each estimator in eight bits.
        estimators: files in `learning/estimators/`.
        few_bits: further precisions.
        few_bits_estimators: tried with these.
        few_bits_seeds: networks for each of them.
        device_batches: clips in a step of learning on a device; empty to leave that out.
        device_steps: steps of it.
        device_clips: of each word by each person to learn from; the others are the test.
        device_seeds: networks that devices begin with; at most `seeds`.
        unscaled_rates: multiples of the learning rate to try where weights are stored as integers and
            gradients are not scaled; empty to leave weights stored as integers out.
        seed: of learning on a device.
    """

    words: int = 16
    arch: str = "tcresnet"
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 12
    batch_size: int = 128
    seeds: int = 5
    estimators: tuple[str, ...] = ("current", "running", "in_hindsight", "fixed")
    few_bits: tuple[str, ...] = ("w6a6g6", "w4a4g4")
    few_bits_estimators: tuple[str, ...] = ("running", "in_hindsight")
    few_bits_seeds: int = 3
    device_batches: tuple[int, ...] = (1, 4)
    device_steps: int = 60
    device_clips: int = 3
    device_seeds: int = 5
    unscaled_rates: tuple[float, ...] = (1.0, 1e4, 1e5)
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One precision and estimator.

    Attributes:
        precision: such as `w8a8g8`.
        estimator: of the ranges; empty for full precision.
        accuracy: on people whom the networks have not heard, with rounded numbers.
        moved_bytes: between memory and arithmetic, per step.
        moved_at_one: the same for a batch of one clip.
        difference: mean over seeds of the accuracy less that of full precision with the same seed.
    """

    precision: str
    estimator: str
    accuracy: Accuracy
    moved_bytes: int
    moved_at_one: int
    difference: float


@dataclass(frozen=True)
class LayerTraffic:
    """Bytes that one layer moves in the forward pass, in eight bits.

    Attributes:
        name: of the layer.
        static: with ranges known before, for a batch.
        dynamic: with ranges of the tensors themselves, for a batch.
        ratio: dynamic over static.
        ratio_at_one: the same for a single clip.
    """

    name: str
    static: int
    dynamic: int
    ratio: float
    ratio_at_one: float


@dataclass(frozen=True)
class QuantizedTraining:
    """What the bench prints.

    Attributes:
        rows: trained from the start.
        layers: bytes moved layer by layer.
        device: learned from a few clips.
        device_clips_tested: clips that the learning on a device was tested with.
        arch: architecture.
        words: that were learned.
        epochs: of each training.
        batch_size: of each training.
    """

    rows: tuple[Row, ...]
    layers: tuple[LayerTraffic, ...]
    device: tuple[DeviceRow, ...]
    device_clips_tested: int
    arch: str
    words: int
    epochs: int
    batch_size: int


def quantized_training(
    store: ClipStore, options: QuantizedTrainingOptions, home: Path, progress: Progress = silent
) -> QuantizedTraining:
    """Trains with each precision and estimator, and learns from a few clips with each.

    Args:
        store: the corpus, with held-out people.
        options: how.
        home: trained networks are kept in its folder `bench`.
        progress: counts steps.

    Returns:
        The tables.

    Raises:
        InputError: fewer words than asked for, or nobody held out.
        ExtensionError: no such estimator or architecture.
    """
    some = repeats.with_words(store, options.words)
    plain = TrainOptions(
        arch=options.arch,
        network=options.network,
        epochs=options.epochs,
        batch_size=options.batch_size,
        **RECIPE,
    )
    people = repeats.held_out(some, plain)
    folder = home / "bench"
    spent = {size: _spent(options, people, size) for size in (options.batch_size, 1)}
    rows: list[Row] = []
    full: NDArray[np.float64] = np.zeros(0)
    for precision, estimator, seeds in _variants(options):
        how = dataclasses.replace(
            plain,
            precision=precision,
            quantization=Quantization(estimator=estimator) if estimator else Quantization(),
        )
        right = np.array(
            [
                repeats.answers(rounded(repeats.trained(some, how, seed, folder, progress)), people)
                for seed in range(seeds)
            ]
        )
        full = right if not estimator else full
        rows.append(
            Row(
                precision,
                estimator,
                repeats.accuracy(list(right), people),
                _moved(spent[options.batch_size], precision, estimator),
                _moved(spent[1], precision, estimator),
                difference=float((right.mean(1) - full[:seeds].mean(1)).mean()),
            )
        )
    device, tested = learned_on_device(
        [
            repeats.trained(some, plain, seed, folder, progress)
            for seed in range(min(options.device_seeds, options.seeds))
        ],
        people, _ways(options), options.device_batches, folder,
        steps=options.device_steps, clips=options.device_clips, seed=options.seed,
    )  # fmt: skip
    return QuantizedTraining(
        rows=tuple(rows),
        layers=_layers(spent[options.batch_size], spent[1]),
        device=device,
        device_clips_tested=tested,
        arch=options.arch,
        words=options.words,
        epochs=options.epochs,
        batch_size=options.batch_size,
    )


def _variants(options: QuantizedTrainingOptions) -> list[tuple[str, str, int]]:
    eight = [("w8a8g8", name, options.seeds) for name in options.estimators]
    few = [
        (precision, name, min(options.few_bits_seeds, options.seeds))
        for precision in options.few_bits
        for name in options.few_bits_estimators
    ]
    return [(FULL, "", options.seeds), *eight, *few]


def _ways(options: QuantizedTrainingOptions) -> list[Way]:
    ways = [Way(""), *(Way(name) for name in options.estimators)]
    if options.unscaled_rates:
        ways += [Way("", "folded"), Way("in_hindsight", "scaled")]
        ways += [Way("in_hindsight", "unscaled", rate) for rate in options.unscaled_rates]
    return ways


def rounded(base: Bundle) -> nn.Module:
    """Builds the network of a bundle as it was trained: quantized, with the ranges of its activations.

    Args:
        base: a bundle of `kwsctl train`.

    Returns:
        A network in evaluation mode.
    """
    network = base.model()
    options = base.lineage["options"]
    if bits := bits_of(options["precision"]):
        quantized.quantize(network, bits, from_mapping(Quantization, options["quantization"]))
        quantized.set_ranges(network, base.lineage["activation_ranges"])
    return network


def _spent(options: QuantizedTrainingOptions, people: HeldOut, size: int) -> dict[str, cost.Cost]:
    """Measures a training step at every width of numbers."""
    network = architecture.build(
        options.arch, options.network, len(people.labels), people.features.shape[1]
    ).eval()
    rows = torch.arange(size) % len(people.target)
    features, target = people.features[rows], people.target[rows]
    return {
        precision: cost.measured(
            network,
            lambda net: fn.cross_entropy(net(features), target),
            size,
            bits=bits_of(precision) or FULL_BITS,
        )
        for precision in (FULL, "w8a8g8", *options.few_bits)
    }


def _moved(spent: Mapping[str, cost.Cost], precision: str, estimator: str) -> int:
    dynamic = bool(estimator) and registry.load(ESTIMATORS, estimator).DYNAMIC
    found = spent[precision]
    return found.moved_dynamic if dynamic else found.moved_static


def _layers(batch: Mapping[str, cost.Cost], one: Mapping[str, cost.Cost]) -> tuple[LayerTraffic, ...]:
    pairs = zip(batch["w8a8g8"].layers, one["w8a8g8"].layers, strict=True)
    return tuple(
        LayerTraffic(
            many.name,
            many.moved.forward,
            many.moved.forward_dynamic,
            many.moved.forward_dynamic / many.moved.forward,
            single.moved.forward_dynamic / single.moved.forward,
        )
        for many, single in pairs
    )
