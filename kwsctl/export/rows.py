"""Makes the row of a head from embeddings, by inference only; needs no torch.

The counterpart of `learning/adapters/_row.py`, with the package's own graph in the place of an optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.export.runtime import Runtime
from kwsctl.export.scores import Head, sigmoid

Floats = NDArray[np.float32]
SHARPNESS = 16.0  # of a first row on embeddings of length one
HEAD_STEPS, HEAD_MOMENTUM, HEAD_STRENGTH = 300, 0.9, 1.5e-4
UNIT_TOLERANCE = 0.02  # quantized embeddings are only nearly of length one


@dataclass(frozen=True, eq=False)
class Material:
    """Embeddings of one enrolment.

    Attributes:
        head: that the row is added to.
        keyword: of the row.
        clips: [K, V, E] each clip in V variations, as it is first.
        negatives: [N, E] that are not the word, to learn from.
        held_out: [P, M, E] other words on their way through the window, to judge by.
        mixed: [P, R, E] the person's speech in another order, likewise.
        is_known: whether the network was trained to hear the keyword.
        voices: [K, S] of the clips; None without a speaker embedding.
        other_voices: [M, S] of the held-out words.
    """

    head: Head
    keyword: str
    clips: Floats = field(repr=False)
    negatives: Floats = field(repr=False)
    held_out: Floats = field(repr=False)
    mixed: Floats = field(repr=False)
    voices: Floats | None = field(repr=False)
    other_voices: Floats = field(repr=False)
    is_known: bool = False


def prototype(given: Material, clips: Floats) -> Head:
    """Gives a row in the direction of the mean, as long as other rows are, with the bias that fits best.

    Args:
        given: head, keyword and negatives.
        clips: [K, V, E] to learn from.

    Returns:
        The head with the row.
    """
    plain = clips[:, 0]
    lengths = np.linalg.norm(plain, axis=1)
    unit = bool(np.abs(lengths - 1).max() < UNIT_TOLERANCE)
    shared = np.zeros_like(plain[0]) if unit else given.negatives.mean(axis=0)
    mean = direction(plain - shared)
    rows = np.linalg.norm(given.head.weight, axis=1)
    spread = float(np.linalg.norm(plain - shared, axis=1).mean())
    usual = float(rows.mean()) if len(rows) else SHARPNESS / spread
    if given.keyword in given.head.labels:  # a row that is there already counts like two clips more
        row = given.head.weight[given.head.labels.index(given.keyword)]
        mean = len(plain) * mean + 2 * row / np.linalg.norm(row)
        mean = mean / np.linalg.norm(mean)
    weight = (usual * mean).astype(np.float32)
    return given.head.grown(given.keyword, weight, _fitted_bias(given, clips, weight))


def _fitted_bias(given: Material, clips: Floats, weight: Floats) -> float:
    """The bias of least logistic loss, positives and negatives weighing alike; its slope is monotone."""
    head = given.head.grown(given.keyword, weight, 0.0)
    views = clips.reshape(-1, clips.shape[2])
    positive, negative = (head.margins(x, given.keyword) for x in (views, given.negatives))
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        slope = sigmoid(negative + middle).mean() - sigmoid(-(positive + middle)).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return (low + high) / 2


def stepped(runtime: Runtime, given: Material, clips: Floats) -> Head:
    """Takes steps of gradient descent on the row from the prototype on, by the package's own graph.

    Args:
        runtime: the opened package.
        given: head, keyword and negatives.
        clips: [K, V, E] to learn from.

    Returns:
        The head with the row.
    """
    start = prototype(given, clips)
    row = start.labels.index(given.keyword)
    views = clips.reshape(-1, clips.shape[2])
    x = np.concatenate([views, given.negatives])
    is_own = np.arange(len(x)) < len(views)
    target = np.zeros((len(x), len(start.labels)), np.float32)
    target[is_own, row] = 1
    if len(start.labels) > 1 and start.task == "keywords":  # the best of the others stands for all of them
        logits = start.logits(x[~is_own])
        logits[:, row] = -np.inf
        target[np.flatnonzero(~is_own), logits.argmax(axis=1)] = 1
    weight = np.where(is_own, 0.5 / len(views), 0.5 / len(given.negatives))
    # The curvature of the logistic loss is at most a quarter of the squared length.
    rate = 4 / float(np.square(x).sum(axis=1).mean() + 1)
    learned, _ = runtime.learner().learn(
        start,
        x,
        target,
        clip_weight=weight.astype(np.float32),
        rows=(np.arange(len(start.labels)) == row).astype(np.float32),
        steps=HEAD_STEPS,
        rate=rate,
        momentum=HEAD_MOMENTUM,
        strength=HEAD_STRENGTH,
    )
    return learned


def direction(vectors: Floats) -> Floats:
    """Gives the direction of the mean of normalized vectors [K, E]."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    mean = (vectors / lengths).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
