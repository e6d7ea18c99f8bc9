"""Where a federation begins: a bundle that is there, grown by the words of the data, or fresh weights."""

from __future__ import annotations

import dataclasses

import torch

from kwsctl import architecture
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.federated.corpus import Corpus, gather
from kwsctl.federated.options import FederateOptions
from kwsctl.learning import task
from kwsctl.progress import Progress, silent
from kwsctl.seeding import stream_seed
from kwsctl.types import FeatureSpec


def prepare(
    store: ClipStore, options: FederateOptions, model: Bundle | None, seed: int, progress: Progress = silent
) -> tuple[Bundle, Corpus]:
    """Makes the bundle that all begin with, and the features of the clips as it hears them.

    Args:
        store: clips with labels, speakers and splits.
        options: part, architecture.
        model: what to begin with; None for fresh weights.
        seed: of fresh weights.
        progress: counts windows.

    Returns:
        The bundle and the corpus.

    Raises:
        InputError: fresh weights of which only a part is to be trained, or nothing to learn.
    """
    if model is not None:
        base = model if model.labels else _with_words(model, store)
        return base, gather(store, base, progress=progress)
    if options.part != "full":
        raise InputError(
            f"part = {options.part!r} trains a part of a network whose rest would stay random.",
            "Give --model, or use --part full.",
        )
    base = _fresh(store, options, seed)
    corpus = gather(store, base, progress=progress)
    mean, std = corpus.standardization()
    weights = {
        **base.weights,
        "standardize.mean": mean,
        "standardize.std": std.clamp_min(0.1),
    }
    return dataclasses.replace(base, weights=weights), corpus


def _with_words(model: Bundle, store: ClipStore) -> Bundle:
    return with_words(model, task.pose(store, task="keywords", clip_s=model.clip_s).labels)


def with_words(model: Bundle, words: tuple[str, ...]) -> Bundle:
    """Gives an encoder a head of zeros for words that it has not heard."""
    size = model.weights["head.weight"].shape[1]
    weights = {
        **model.weights,
        "head.weight": torch.zeros(len(words), size),
        "head.bias": torch.zeros(len(words)),
    }
    return dataclasses.replace(model, labels=words, task="keywords", weights=weights, thresholds={})


def _fresh(store: ClipStore, options: FederateOptions, seed: int) -> Bundle:
    problem = task.pose(store)
    if problem.task == "encode":
        raise InputError("Encoders are not federated from nothing.", "Use kwsctl train --objective first.")
    spec = FeatureSpec(sample_rate_hz=store.rate_hz)
    # The statistics of a batch on one device mislead all others (Hsieh et al. 2020, arXiv 1910.00189).
    network = {"norm": "group", **options.network}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        weights = architecture.build(options.arch, network, len(problem.labels), spec.mel_bins).state_dict()
    return Bundle(
        arch=options.arch,
        config=network,
        features=spec,
        labels=problem.labels,
        task=problem.task,
        clip_s=problem.clip_s,
        weights={name: weight.clone() for name, weight in weights.items()},
    )
