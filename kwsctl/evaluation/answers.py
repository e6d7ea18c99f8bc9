"""Right and wrong answers per clip, and the figures that are taken over them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation import intervals, metrics
from kwsctl.evaluation.intervals import Interval
from kwsctl.evaluation.metrics import LabelFigures
from kwsctl.evaluation.operating_point import Detection, HeardClips
from kwsctl.evaluation.results import Confusion, KeywordRates
from kwsctl.types import RESERVED_LABELS, Scores


@dataclass(frozen=True)
class Answers:
    """Which clips the model got right.

    Attributes:
        right: [n] 1 or 0 per clip that counts.
        speakers: n speakers, None where not known.
        n_excluded: clips that do not count, because the model has no label for them.
        accuracy: share of right answers; None for a wake word.
        ci95: interval of the accuracy.
        per_label: by label; for a wake word recall is the detection rate.
        confusion: None for a wake word.
    """

    right: NDArray[np.float64] = field(repr=False)
    speakers: tuple[str | None, ...] = field(repr=False)
    n_excluded: int
    accuracy: float | None
    ci95: Interval | None
    per_label: dict[str, LabelFigures]
    confusion: Confusion | None


def recognized_words(scores: Scores, generator: np.random.Generator, *, resamples: int = 2000) -> Answers:
    """Takes the label with the highest score as the answer.

    Args:
        scores: of clips, some with a target of -1 that do not count.
        generator: for the bootstrap over speakers.
        resamples: draws of the bootstrap.

    Returns:
        Right and wrong answers, and the figures over them.

    Raises:
        InputError: no clip counts.
    """
    known = np.flatnonzero(scores.target >= 0)
    predicted, target = scores.values[known].argmax(axis=1), scores.target[known]
    right = (predicted == target).astype(np.float64)
    speakers = tuple(scores.speakers[int(index)] for index in known)
    accuracy = metrics.accuracy(predicted, target)
    counts = metrics.confusion(predicted, target, len(scores.labels))
    figures = zip(scores.labels, metrics.per_label(counts), strict=True)
    return Answers(
        right=right,
        speakers=speakers,
        n_excluded=len(scores.target) - len(known),
        accuracy=accuracy,
        ci95=intervals.bootstrap(right, speakers, generator, resamples=resamples),
        per_label={label: found for label, found in figures if found is not None},
        confusion=Confusion(scores.labels, counts),
    )


def detected_words(heard: HeardClips, detection: Detection | None) -> Answers:
    """Takes a detection at the operating point as the right answer to a clip of a wake word.

    Args:
        heard: clips as streams.
        detection: the operating point; without one there are no answers.

    Returns:
        Right and wrong answers, and the figures over them.
    """
    if detection is None:
        return Answers(np.zeros(0), (), 0, None, None, {}, None)
    own = heard.keyword[heard.keyword >= 0]
    per_label = {
        keyword: LabelFigures(
            int((own == index).sum()), float(detection.detected[own == index].mean()), None, None
        )
        for index, keyword in enumerate(heard.streams[0].keywords)
        if (own == index).any()
    }
    right = detection.detected.astype(np.float64)
    return Answers(right, detection.speakers, 0, None, None, per_label, None)


def error_rates(scores: Scores, far: float) -> tuple[KeywordRates | None, KeywordRates | None]:
    """Equal error rate, and detection rate at a bound on false alarms, of each keyword.

    The clips of a keyword are trials to accept; all other clips are trials to reject.

    Args:
        scores: of clips.
        far: bound on the share of false alarms among the other clips.

    Returns:
        Both None if no keyword has clips on both sides.
    """
    eers: dict[str, float | None] = {}
    rates: dict[str, float | None] = {}
    for index, label in enumerate(scores.labels):
        if label in RESERVED_LABELS:
            continue
        own = scores.target == index
        eers[label] = rates[label] = None
        if own.any() and not own.all():
            trials = scores.values[own, index], scores.values[~own, index]
            eers[label] = metrics.eer(*trials).rate
            rates[label] = metrics.detection_rate_at_far(*trials, far).detection_rate
    return _with_mean(eers), _with_mean(rates)


def _with_mean(per_keyword: dict[str, float | None]) -> KeywordRates | None:
    known = [found for found in per_keyword.values() if found is not None]
    return KeywordRates(float(np.mean(known)), per_keyword) if known else None
