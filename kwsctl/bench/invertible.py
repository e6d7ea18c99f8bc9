"""What training an invertible network costs and gives, beside the ordinary network of the same size.

The same functions make four networks: an ordinary residual one; one of reversible couplings that keeps
everything, as autograd does; the same with gradient checkpointing, which is the fair rival; and the same
rebuilding its activations from the output. The last three have the same gradients, so that one of them is
trained and stands for all.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl import architecture
from kwsctl.bench import repeats
from kwsctl.bench.repeats import Accuracy
from kwsctl.data.store import ClipStore
from kwsctl.learning import cost
from kwsctl.learning.train_options import TrainOptions
from kwsctl.progress import Progress, silent
from kwsctl.seeding import torch_generator

KEEPINGS = {"kept": "everything", "checkpointed": "inputs", "rebuilt": "output"}
RECIPE: Mapping[str, Any] = {
    "keep": "last",
    "learning_rate": 6e-3,
    "room_share": 0.0,
    "label_smoothing": 0.05,
    "ema_decay": 0.99,
}
N_LABELS, N_BINS, N_FRAMES = 40, 40, 98
BIGGER, SMALLER = "revtcnet", "revbcresnet"


@dataclass(frozen=True)
class InvertibleOptions:
    """How to measure.

    Attributes:
        words: how many of the corpus's words to learn.
        epochs: of each training.
        seeds: networks of each kind; 0 trains none, and measures memory, time and gradients alone.
        network: fields of the architecture `revtcnet` that differ from the defaults.
        batch_size: of a step that is timed and whose process is measured.
        repeats: steps that are timed; the quickest counts.
        depths: numbers of blocks for the curve; empty for none.
        seed: of weights and data where memory and time are measured.
    """

    words: int = 10
    epochs: int = 12
    seeds: int = 5
    network: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 64
    repeats: int = 7
    depths: tuple[int, ...] = (6, 12, 24, 48, 96)
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One network and what it keeps.

    Attributes:
        arch: file in `models/`.
        kind: `ordinary`, `kept`, `checkpointed` or `rebuilt`.
        params: numbers.
        macs: multiply-accumulates of a clip, forward.
        macs_backward: of a clip, backward, with what is computed anew.
        activation_bytes: kept for the backward pass, per clip.
        seconds: of a step, relative to the same network that keeps everything.
        gradient_error: largest difference of a gradient to that network's, relative to its largest gradient.
        accuracy: None where it was not trained, or has the gradients of another row.
    """

    arch: str
    kind: str
    params: int
    macs: int
    macs_backward: int
    activation_bytes: float
    seconds: float
    gradient_error: float
    accuracy: Accuracy | None


@dataclass(frozen=True)
class Depth:
    """One number of blocks.

    Attributes:
        blocks: how many.
        kind: what the network keeps.
        activation_bytes: kept for the backward pass, per clip.
        process_bytes: by how much the process grew in a step, for the whole batch.
    """

    blocks: int
    kind: str
    activation_bytes: float
    process_bytes: int


@dataclass(frozen=True)
class Invertible:
    """What the bench prints.

    Attributes:
        rows: the table.
        depths: the curve.
        memory_ratio: activation memory of the ordinary network over that of the one that rebuilds.
        words: that were learned.
        epochs: of each training.
        batch_size: of the steps that were timed.
    """

    rows: tuple[Row, ...]
    depths: tuple[Depth, ...]
    memory_ratio: float
    words: int
    epochs: int
    batch_size: int


def invertible(
    store: ClipStore, options: InvertibleOptions, home: Path, progress: Progress = silent
) -> Invertible:
    """Measures memory, time and gradients, and trains the ordinary and the reversible network.

    Args:
        store: the corpus, with held-out people.
        options: how.
        home: trained networks are kept in its folder `bench`.
        progress: counts steps.

    Returns:
        The table and the curve.

    Raises:
        InputError: fewer words than asked for, or nobody held out.
    """
    some = repeats.with_words(store, options.words)
    found = {
        kind: _accuracy(some, coupled, options, home, progress)
        for kind, coupled in (("ordinary", False), ("rebuilt", True))
        if options.seeds
    }
    rows = _rows(BIGGER, options, found) + _rows(SMALLER, options, {})
    depths = tuple(_depth(n, kind, options) for n in options.depths for kind in KEEPINGS)
    of = {row.kind: row.activation_bytes for row in rows if row.arch == BIGGER}
    return Invertible(
        rows, depths, of["ordinary"] / of["rebuilt"], options.words, options.epochs, options.batch_size
    )


def _accuracy(
    store: ClipStore, coupled: bool, options: InvertibleOptions, home: Path, progress: Progress
) -> Accuracy:
    network = {**options.network, "coupled": coupled, "keeping": "everything"}
    how = TrainOptions(arch=BIGGER, network=network, epochs=options.epochs, **RECIPE)
    people = repeats.held_out(store, how)
    return repeats.over_seeds(store, how, options.seeds, people, home / "bench", progress)


def _rows(arch: str, options: InvertibleOptions, found: Mapping[str, Accuracy]) -> tuple[Row, ...]:
    own = dict(options.network) if arch == BIGGER else {}
    kinds = {kind: {**own, "keeping": keeping} for kind, keeping in KEEPINGS.items()}
    if arch == BIGGER:
        kinds = {"ordinary": {**own, "coupled": False}, **kinds}
    networks = {kind: build(arch, config, options.seed) for kind, config in kinds.items()}
    batch = _batch(options.batch_size, options.seed)
    seconds = _seconds(networks, batch, options.repeats)
    gradients = {kind: gradient_of(network, batch) for kind, network in networks.items()}
    rows = []
    for kind, network in networks.items():
        spent = cost.measured(network, lambda net: loss(net, batch), options.batch_size)
        wanted = gradients[kind if kind == "ordinary" else "kept"]
        rows.append(
            Row(
                arch=arch,
                kind=kind,
                params=spent.params,
                macs=spent.macs_forward // options.batch_size,
                macs_backward=spent.macs_backward // options.batch_size,
                activation_bytes=spent.activation_bytes / options.batch_size,
                seconds=seconds[kind] / seconds["kept"],
                gradient_error=float((gradients[kind] - wanted).abs().max() / wanted.abs().max()),
                accuracy=found.get(kind),
            )
        )
    return tuple(rows)


Batch = tuple[Tensor, Tensor]


def build(arch: str, config: Mapping[str, Any], seed: int) -> nn.Module:
    """Builds a network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture.build(arch, config, N_LABELS, N_BINS)


def _batch(size: int, seed: int) -> Batch:
    """Makes noise to measure memory and time on, which depend on shapes alone."""
    draw = torch_generator(seed, "invertible")
    return torch.randn(size, N_BINS, N_FRAMES, generator=draw), torch.arange(size) % N_LABELS


def loss(network: nn.Module, batch: Batch) -> Tensor:
    """Gives the loss of a batch."""
    return fn.cross_entropy(network(batch[0]), batch[1])


def gradient_of(network: nn.Module, batch: Batch) -> Tensor:
    """Gives all gradients end to end."""
    network.zero_grad()
    loss(network, batch).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    found = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    network.zero_grad()
    return found


def _seconds(networks: Mapping[str, nn.Module], batch: Batch, count: int) -> dict[str, float]:
    """Gives the quickest of several steps; networks take turns, so that a busy machine is fair to all."""
    taken: dict[str, list[float]] = {kind: [] for kind in networks}
    for _ in range(count + 1):
        for kind, network in networks.items():
            began = time.process_time()
            gradient_of(network, batch)
            taken[kind].append(time.process_time() - began)
    return {kind: float(np.min(each[1:])) for kind, each in taken.items()}


def _depth(blocks: int, kind: str, options: InvertibleOptions) -> Depth:
    """Measures one number of blocks, in a process of its own."""
    share = blocks // 3
    config = {**options.network, "blocks": (share, share, blocks - 2 * share), "keeping": KEEPINGS[kind]}
    batch = _batch(1, options.seed)
    network = build(BIGGER, config, options.seed)
    spent = cost.measured(network, lambda net: loss(net, batch), 1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        grown = pool.apply(growth, (config, options.batch_size, options.seed))
    return Depth(blocks, kind, float(spent.activation_bytes), grown)


def growth(config: Mapping[str, Any], batch_size: int, seed: int) -> int:
    """Gives the bytes by which this process grows in a step beyond what it ever had; runs in one of its own.

    Args:
        config: of the network.
        batch_size: of the step.
        seed: of weights and data.

    Returns:
        Bytes.
    """
    network = build(BIGGER, config, seed)
    gradient_of(network, _batch(1, seed))  # libraries take their working memory with the first step
    batch = _batch(batch_size, seed)
    before = cost.peak_process_bytes()
    gradient_of(network, batch)
    return cost.peak_process_bytes() - before
