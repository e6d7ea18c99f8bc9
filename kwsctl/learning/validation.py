"""Scores held-out windows during training: one number to compare epochs by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_curve
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Task

BATCH = 256
FAR = 0.01
SHOTS = 3


def logits_of(model: nn.Module, features: Iterator[Tensor], device: torch.device) -> Tensor:
    """Runs a model over batches of features [B, F, T] and gives all logits [N, L]."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch.to(device)).float().cpu() for batch in features])


def compare_by(task: Task | Literal["encode"], logits: Tensor, target: Tensor) -> dict[str, float]:
    """Gives the figures of held-out windows; the first one is what epochs are compared by.

    Args:
        task: keyword sets are compared by accuracy, wake words by average precision, encoders by what three
            clips of a held-out word find.
        logits: [N, L]; embeddings [N, E] of length one for an encoder.
        target: [N] label indices, -1 for none.

    Returns:
        Figures by name.
    """
    if task == "encode":
        return few_shot(logits, target)
    if task == "keywords":
        known = target >= 0
        right = (logits[known].argmax(1) == target[known]).float()
        return {"accuracy": float(right.mean())}
    wanted = target[:, None] == torch.arange(logits.shape[1])
    present = [i for i in range(logits.shape[1]) if wanted[:, i].any() and not wanted[:, i].all()]
    if not present:
        return {"average_precision": float("nan")}
    precision = [average_precision_score(wanted[:, i], logits[:, i]) for i in present]
    return {
        "average_precision": float(np.mean(precision)),
        "detected_at_far_1pct": float(np.mean([_detected(wanted[:, i], logits[:, i]) for i in present])),
    }


def few_shot(embedding: Tensor, target: Tensor) -> dict[str, float]:
    """Enrols each word with its first three clips and looks for the others among all clips of other words.

    Args:
        embedding: [N, E] of length one.
        target: [N] index of the word.

    Returns:
        Share of clips found where 1 % of those of other words pass, and the equal error rate.
    """
    cosines, wanted = [], []
    for word in torch.unique(target):
        own = torch.nonzero(target == word)[:, 0]
        if len(own) <= SHOTS:
            continue
        prototype = fn.normalize(embedding[own[:SHOTS]].mean(0), dim=0)
        asked = torch.ones(len(target), dtype=torch.bool)
        asked[own[:SHOTS]] = False
        cosines.append((embedding @ prototype)[asked])
        wanted.append((target == word)[asked])
    if not cosines:
        return {"found_at_far_1pct": float("nan")}
    score, is_word = torch.cat(cosines).numpy(), torch.cat(wanted).numpy()
    calls, strangers = np.sort(score[is_word]), np.sort(score[~is_word])
    if not len(calls) or not len(strangers):
        return {"found_at_far_1pct": float("nan")}
    passing = int(FAR * len(strangers) + 1e-6)  # as many may pass
    return {
        "found_at_far_1pct": float(np.mean(calls > strangers[-1 - passing])),
        "equal_error_rate": _equal_error_rate(calls, strangers),
    }


def _equal_error_rate(own: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Finds where as many of the others pass as own ones are missed, of two sorted lists of scores.

    Millions of scores are compared after each epoch; the whole curve would take many times as long.
    """

    def rates(threshold: np.float32) -> tuple[float, float]:
        passed = 1 - np.searchsorted(others, threshold) / len(others)
        return float(passed), float(np.searchsorted(own, threshold) / len(own))

    scores = np.sort(np.concatenate([own, others]))
    low, high = 0, len(scores) - 1
    while low < high:  # the first score at which no more pass than are missed
        middle = (low + high) // 2
        passed, missed = rates(scores[middle])
        low, high = (low, middle) if passed <= missed else (middle + 1, high)
    before = np.searchsorted(scores, scores[low]) - 1
    around = [rates(scores[low]), *([rates(scores[before])] if before >= 0 else []), (0.0, 1.0)]
    passed, missed = min(around, key=lambda pair: abs(pair[0] - pair[1]))
    return (passed + missed) / 2


def _detected(wanted: Tensor, score: Tensor) -> float:
    """Share of positives above the threshold that 1 % of the negatives pass."""
    false_alarm_rate, detection_rate, _ = roc_curve(wanted, score, drop_intermediate=False)
    return float(detection_rate[false_alarm_rate <= FAR].max())
