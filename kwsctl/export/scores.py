"""What follows the embedding, in numpy: the head, scores, and decisions. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer: what is small, stays in float, and becomes personal.

    Attributes:
        labels: L names.
        task: `keywords` (softmax over labels) or `wake` (a sigmoid per label).
        weight: [L, E].
        bias: [L].
    """

    labels: tuple[str, ...]
    task: str
    weight: Floats = field(repr=False)
    bias: Floats = field(repr=False)

    def logits(self, embeddings: Floats) -> Floats:
        """Maps embeddings [N, E] to logits [N, L]."""
        return embeddings @ self.weight.T + self.bias

    def scores(self, embeddings: Floats) -> Floats:
        """Maps embeddings [N, E] to scores [N, L] in [0, 1]."""
        return probabilities(self.logits(embeddings), self.task)

    def margins(self, embeddings: Floats, label: str) -> NDArray[np.float64]:
        """Gives [N] what the score of a label is the sigmoid of."""
        row = self.labels.index(label)
        logits = self.logits(embeddings).astype(np.float64)
        return np.asarray(logits[:, row] - rivals(logits, row, self.task))

    def grown(self, label: str, weight: Floats, bias: float) -> Head:
        """Puts a row in the place of a label, or adds it as the last."""
        if label in self.labels:
            row = self.labels.index(label)
            weights, biases = self.weight.copy(), self.bias.copy()
            weights[row], biases[row] = weight, bias
            return Head(self.labels, self.task, weights, biases)
        weights = np.concatenate([self.weight, weight[None]]).astype(np.float32)
        biases = np.append(self.bias, np.float32(bias)).astype(np.float32)
        return Head((*self.labels, label), self.task, weights, biases)


def probabilities(logits: Floats, task: str) -> Floats:
    """Turns logits [N, L] into scores: softmax for keywords, sigmoid for a wake word."""
    exact = logits.astype(np.float64)
    if task == "keywords":
        raised = np.exp(exact - exact.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
    return sigmoid(exact).astype(np.float32)


def sigmoid(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps margins to scores without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * margins)))


def rivals(logits: NDArray[np.float64], row: int, task: str) -> NDArray[np.float64]:
    """Gives [N] what the logit of a row competes with: 0 in a wake-word model."""
    others = np.delete(logits, row, axis=1)
    if task == "wake" or not others.shape[1]:
        return np.zeros(len(logits))
    highest = others.max(axis=1)
    return np.asarray(highest + np.log(np.exp(others - highest[:, None]).sum(axis=1)))


def decisions(scores: Floats, head: Head, thresholds: Mapping[str, float]) -> NDArray[np.int64]:
    """Decides what was said.

    Args:
        scores: [N, L].
        head: its labels and task.
        thresholds: per label, of wake words.

    Returns:
        [N] index of the label; for wake words the one furthest above its threshold, -1 if none is.
    """
    if head.task == "keywords":
        return np.asarray(scores.argmax(axis=1))
    above = scores - np.array([thresholds.get(label, 0.5) for label in head.labels], dtype=np.float32)
    best = above.argmax(axis=1)
    return np.where(above.max(axis=1) >= 0, best, -1)
