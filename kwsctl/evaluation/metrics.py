"""Figures of merit as pure functions of scores and targets; each refuses an empty set.

A rate over nothing is an error here, never 0.0: a model that was not tested on a word has no
recall on it. Detection trials follow speaker recognition (Martin et al. 1997, "The DET curve in
assessment of detection task performance"): a *miss* is a keyword scored below the threshold, a
*false alarm* something else scored at or above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kwsctl.errors import InputError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LabelFigures:
    """How one label fares in a confusion matrix.

    Attributes:
        n: clips of this label.
        recall: share of them that were recognized; what is loosely called the label's accuracy.
        precision: share of the clips called this that are; None where nothing was called this.
        f1: harmonic mean of the two; None where precision is.
    """

    n: int
    recall: float
    precision: float | None
    f1: float | None


@dataclass(frozen=True)
class DetCurve:
    """What every threshold costs, from accepting all to accepting nothing.

    Attributes:
        thresholds: [P] rising, from -inf to +inf.
        false_alarm_rate: [P] share of non-target trials at or above the threshold, falling from 1 to 0.
        miss_rate: [P] share of target trials below the threshold, rising from 0 to 1.
    """

    thresholds: Floats
    false_alarm_rate: Floats
    miss_rate: Floats


@dataclass(frozen=True)
class EqualErrorRate:
    """Where misses and false alarms are equally frequent.

    Attributes:
        rate: the common rate.
        n_targets: trials that should be accepted.
        n_non_targets: trials that should be rejected.
    """

    rate: float
    n_targets: int
    n_non_targets: int


@dataclass(frozen=True)
class DetectionAtFar:
    """Detection rate at a bound on the share of false alarms among clips.

    Attributes:
        detection_rate: share of target trials at or above the threshold.
        threshold: the lowest that keeps the bound.
        far: the false-alarm rate reached, at most the bound.
    """

    detection_rate: float
    threshold: float
    far: float


def rate(count: float, n: int, of: str) -> float:
    """Divides, unless there is nothing to divide by.

    Args:
        count: how many were so.
        n: out of how many.
        of: what they are, for the message, such as `clips of 'stop'`.

    Returns:
        The quotient.

    Raises:
        InputError: `n` is 0.
    """
    if n == 0:
        raise InputError(
            f"There are no {of}, so there is no rate to give.", "Add some, or ask for other figures."
        )
    return float(count) / n


def accuracy(predicted: Indices, target: Indices) -> float:
    """Share of clips whose best label is the true one.

    Args:
        predicted: [N] label indices.
        target: [N] label indices.

    Returns:
        The share, from 0 to 1.

    Raises:
        InputError: no clips.
    """
    return rate(int((predicted == target).sum()), len(target), "clips with a known label")


def confusion(predicted: Indices, target: Indices, n_labels: int) -> Indices:
    """Counts how often each label was taken for each.

    Args:
        predicted: [N] label indices.
        target: [N] label indices.
        n_labels: L.

    Returns:
        [L, L] counts, true label by predicted label.

    Raises:
        InputError: no clips.
    """
    from sklearn.metrics import confusion_matrix  # half a second to import

    rate(0, len(target), "clips with a known label")
    counts: Indices = confusion_matrix(target, predicted, labels=np.arange(n_labels))
    return counts


def per_label(counts: Indices) -> tuple[LabelFigures | None, ...]:
    """Recall, precision and F1 of each label.

    Args:
        counts: [L, L] as from `confusion`.

    Returns:
        One entry per label, None for labels without a clip.
    """
    figures: list[LabelFigures | None] = []
    for index, n in enumerate(counts.sum(axis=1)):
        right, called = int(counts[index, index]), int(counts[:, index].sum())
        if n == 0:
            figures.append(None)
        else:
            precision = right / called if called else None
            f1 = None if precision is None else 2 * right / (int(n) + called)
            figures.append(LabelFigures(int(n), right / int(n), precision, f1))
    return tuple(figures)


def det(targets: ArrayLike, non_targets: ArrayLike) -> DetCurve:
    """Traces the detection error tradeoff.

    Args:
        targets: scores of trials that should be accepted.
        non_targets: scores of trials that should be rejected.

    Returns:
        The rates at each score that occurs, and at both infinities.

    Raises:
        InputError: one of the two sets is empty, or a score is not finite.
    """
    from sklearn.metrics import det_curve  # half a second to import

    positive, negative = _trials(targets, non_targets)
    truth = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    false_alarms, misses, thresholds = det_curve(truth, np.concatenate([positive, negative]))
    finite = np.isfinite(thresholds)  # sklearn 1.7 adds the end at infinity only in some cases
    return DetCurve(
        thresholds=np.concatenate([[-np.inf], thresholds[finite], [np.inf]]),
        false_alarm_rate=np.concatenate([[1.0], false_alarms[finite], [0.0]]),
        miss_rate=np.concatenate([[0.0], misses[finite], [1.0]]),
    )


def eer(targets: ArrayLike, non_targets: ArrayLike) -> EqualErrorRate:
    """Equal error rate, with a straight line between the two operating points around it.

    Args:
        targets: scores of trials that should be accepted.
        non_targets: scores of trials that should be rejected.

    Returns:
        The rate, and over how many trials it was taken.

    Raises:
        InputError: one of the two sets is empty, or a score is not finite.
    """
    curve = det(targets, non_targets)
    excess = curve.miss_rate - curve.false_alarm_rate  # rises from -1 to 1
    after = int(np.argmax(excess >= 0))
    before = after - 1
    weight = -excess[before] / (excess[after] - excess[before])
    miss = curve.miss_rate
    common = miss[before] + weight * (miss[after] - miss[before])
    return EqualErrorRate(float(common), int(np.size(targets)), int(np.size(non_targets)))


def detection_rate_at_far(targets: ArrayLike, non_targets: ArrayLike, far: float) -> DetectionAtFar:
    """Detection rate at the lowest threshold that keeps the false-alarm rate within a bound.

    Args:
        targets: scores of trials that should be accepted.
        non_targets: scores of trials that should be rejected.
        far: the bound, as a share of the non-target trials.

    Returns:
        The rate, the threshold, and the false-alarm rate that it gives.

    Raises:
        InputError: one of the two sets is empty, a score is not finite, or `far` is not in [0, 1].
    """
    if not 0 <= far <= 1:
        raise InputError(f"A false-alarm rate of {far:g} is not a share.", "Give a number from 0 to 1.")
    positive, negative = _trials(targets, non_targets)
    allowed = int(np.floor(far * len(negative) + 1e-9))
    if allowed >= len(negative):
        threshold = float(min(positive.min(), negative.min()))
    else:
        threshold = float(np.nextafter(np.sort(negative)[len(negative) - 1 - allowed], np.inf))
    return DetectionAtFar(
        detection_rate=float((positive >= threshold).mean()),
        threshold=threshold,
        far=float((negative >= threshold).mean()),
    )


def _trials(targets: ArrayLike, non_targets: ArrayLike) -> tuple[Floats, Floats]:
    positive = np.asarray(targets, dtype=np.float64).ravel()
    negative = np.asarray(non_targets, dtype=np.float64).ravel()
    rate(0, len(positive), "target trials (clips of the keyword)")
    rate(0, len(negative), "non-target trials (clips of anything else)")
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise InputError("A score is not finite.", "The model is broken or its input was: check both.")
    return positive, negative
