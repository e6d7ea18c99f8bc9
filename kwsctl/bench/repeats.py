"""Trains one variant with several seeds, and tests all of them on people whom none has heard."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl import architecture, bundle
from kwsctl.bundle import Bundle
from kwsctl.data.store import NO_SPLIT, ClipStore
from kwsctl.errors import InputError
from kwsctl.evaluation import intervals
from kwsctl.features.augmentation import middle
from kwsctl.learning import task, validation
from kwsctl.learning.rendering import Renderings
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.options import to_mapping
from kwsctl.progress import Progress
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Clips of people whom no network has heard.

    Attributes:
        features: [N, F, T].
        target: [N] label indices.
        speakers: [N] who speaks.
        labels: L names.
    """

    features: Tensor
    target: Tensor
    speakers: NDArray[np.str_]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers over several seeds.

    Attributes:
        mean: over seeds.
        sd: standard deviation over seeds.
        low: lower end of the 95 % interval of the mean, over speakers.
        high: its upper end.
        clips: how many were tested.
        speakers: by how many people.
        seeds: how many networks.
    """

    mean: float
    sd: float
    low: float
    high: float
    clips: int
    speakers: int
    seeds: int


def with_words(store: ClipStore, count: int) -> ClipStore:
    """Keeps so many of the words, spread over the list; other clips are in no split.

    Args:
        store: the corpus.
        count: words to keep.

    Returns:
        The same store with fewer clips in use.

    Raises:
        InputError: fewer words than that, or fewer than two.
    """
    words = sorted({clip.label for clip in store.clips} - set(RESERVED_LABELS))
    if not 2 <= count <= len(words):
        raise InputError(
            f"{count} of {len(words)} words cannot be taken.", f"Use --set words=2 to {len(words)}."
        )
    kept = {words[i * len(words) // count] for i in range(count)}
    clips = tuple(c if c.label in kept else dataclasses.replace(c, split=NO_SPLIT) for c in store.clips)
    return dataclasses.replace(store, clips=clips)


def held_out(store: ClipStore, options: TrainOptions) -> HeldOut:
    """Reads the held-out clips as training would.

    Args:
        store: the corpus.
        options: of the training.

    Returns:
        Features, targets and speakers.

    Raises:
        InputError: fewer than two people are held out.
    """
    problem = task.pose(store, task="keywords")
    rendered = Renderings(store, problem.val, options.features)
    try:
        rendered.update(0)
        n_frames = options.features.frames(problem.clip_s)
        features = middle(rendered.batch(torch.arange(len(problem.val))), n_frames)
    finally:
        rendered.close()
    names = np.array([store.clips[i].speaker or "" for i in problem.val.clip])
    known = (problem.val.target >= 0) & (names != "")
    if len(set(names[known])) < 2:
        raise InputError("Fewer than two people are held out.", "Give a manifest with a split 'val'.")
    target = torch.from_numpy(problem.val.target[known])
    return HeldOut(features[torch.from_numpy(known)], target, names[known], problem.labels)


def trained(store: ClipStore, options: TrainOptions, seed: int, folder: Path, progress: Progress) -> Bundle:
    """Trains a network, or takes the one that the same call made before; an interrupted one goes on.

    Args:
        store: the corpus.
        options: how.
        seed: of everything random.
        folder: where networks are kept.
        progress: counts steps.

    Returns:
        The network.
    """
    used = [(c.sha256, c.start_s, c.label, c.split) for c in store.clips if c.split != NO_SPLIT]
    # Defaults that options leave open count, too: a network of another rate is another network.
    meant = [
        options.peak_rate,
        options.decay,
        to_mapping(architecture.resolve_config(options.arch, options.network)),
    ]
    text = json.dumps([used, to_mapping(options), meant, seed], sort_keys=True)
    path = folder / f"{options.arch}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        train(store, path, options, seed=seed, progress=progress)
    return bundle.load(path)


def answers(network: nn.Module, people: HeldOut) -> NDArray[np.float64]:
    """Tells which clips a network gets right, [N] 1 or 0."""
    parts = torch.split(people.features, validation.BATCH)
    logits = validation.logits_of(network, iter(parts), torch.device("cpu"))
    return (logits.argmax(1) == people.target).double().numpy()


def accuracy(right: Sequence[NDArray[np.float64]], people: HeldOut) -> Accuracy:
    """Sums up the answers of several seeds.

    Args:
        right: for each seed [N] 1 or 0.
        people: who spoke.

    Returns:
        Mean, spread over seeds, and interval over speakers.
    """
    each = np.array([r.mean() for r in right])
    found = intervals.bootstrap(
        np.mean(right, axis=0), list(people.speakers), numpy_generator(0, "repeats"), resamples=1000
    )
    return Accuracy(
        mean=float(each.mean()),
        sd=float(each.std(ddof=1)) if len(each) > 1 else 0.0,
        low=found.low,
        high=found.high,
        clips=len(people.speakers),
        speakers=len(set(people.speakers)),
        seeds=len(each),
    )


def over_seeds(
    store: ClipStore,
    options: TrainOptions,
    seeds: int,
    people: HeldOut,
    folder: Path,
    progress: Progress,
    network_of: Callable[[Bundle], nn.Module] = Bundle.model,
) -> Accuracy:
    """Trains a variant with several seeds and tests each.

    Args:
        store: the corpus.
        options: how to train.
        seeds: how many.
        people: who is tested.
        folder: where networks are kept.
        progress: counts steps.
        network_of: gives what is tested.

    Returns:
        Accuracy on people whom none has heard.
    """
    right = [
        answers(network_of(trained(store, options, seed, folder, progress)), people) for seed in range(seeds)
    ]
    return accuracy(right, people)
