"""Compares forms of one model on the same windows: right answers, agreement, detection, and distance.

Two forms may both be right by chance and far apart, and a graph that a chip computes wrongly may look right
on a CPU: so every form is compared with the float model and with every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation import intervals
from kwsctl.evaluation.answers import error_rates
from kwsctl.evaluation.scoring import target_index
from kwsctl.export.breakdown import accuracies_by, losses_by
from kwsctl.export.heard import Heard
from kwsctl.export.running import Runner
from kwsctl.export.scores import Head, decisions
from kwsctl.progress import Progress, silent
from kwsctl.types import RESERVED_LABELS, Scores

FAR = 0.01


@dataclass(frozen=True)
class Compared:
    """One form of a model beside the float one, on the same windows.

    Attributes:
        form: which.
        n: windows.
        accuracy: share of right answers; None where no window has a label of the model.
        float_accuracy: that of the float model.
        loss: float accuracy less accuracy, in points.
        loss_ci95: 95 % interval of the loss, by bootstrap over speakers, in points.
        agreement: share of windows that get the same answer as from the float model.
        agreement_cpu: share of windows that get the same answer as from the same file on the CPU.
        error: mean absolute difference of the embedding's entries to the float ones.
        cosine: mean cosine of the embedding to the float one.
        voice_cosine: the same for the voice; None without one.
        detection: rates of detection of the float model and of the form at the float model's thresholds;
            None where no window is of a keyword that has one.
        detection_loss: the difference of the two, in points.
        detection_loss_at_far: points lost at 1 % false alarms, mean over keywords; None where not to be told.
        per_label: loss per label, in points, of those that changed.
        per_speaker: loss per speaker, in points, of those that changed.
        by_label: per label, how many windows, and accuracy of the float model and of the form.
        by_speaker: the same per speaker.
        judged_by: what is held against the form: `accuracy`; `agreement` where no window has a label of the
            model; `cosine` for an encoder on words that it has no prototypes of.
    """

    form: str
    n: int
    accuracy: float | None
    float_accuracy: float | None
    loss: float | None
    loss_ci95: tuple[float, float] | None
    agreement: float
    agreement_cpu: float
    error: float
    cosine: float
    voice_cosine: float | None
    detection: tuple[float, float] | None
    detection_loss: float | None
    detection_loss_at_far: float | None
    per_label: Mapping[str, float]
    per_speaker: Mapping[str, float]
    by_label: Mapping[str, Mapping[str, float]] = field(repr=False)
    by_speaker: Mapping[str, Mapping[str, float]] = field(repr=False)
    judged_by: str

    @property
    def cost(self) -> float:
        """What is held against a form, in points; see `judged_by`."""
        if self.loss is not None:
            return self.loss
        if self.judged_by == "agreement":
            return 100 * (1 - self.agreement)
        return 100 * (1 - min(self.cosine, 1.0 if self.voice_cosine is None else self.voice_cosine))


@dataclass(frozen=True, eq=False)
class Answers:
    """What one form said of windows.

    Attributes:
        outputs: the embedding [N, E], and the voice [N, S] if there is one.
        scores: [N, L].
        decided: [N] label, see `scores.decisions`.
    """

    outputs: Sequence[NDArray[np.float32]] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    decided: NDArray[np.int64] = field(repr=False)

    def first(self, n: int) -> Answers:
        """Keeps the answers to the first windows."""
        return Answers([part[:n] for part in self.outputs], self.scores[:n], self.decided[:n])


@dataclass(frozen=True, eq=False)
class Judge:
    """What answers are judged by.

    Attributes:
        head: of the float model, or of words' means where it has no labels.
        thresholds: per keyword.
        seed: of the bootstrap.
        is_encoder: whether the head was made of words' means.
    """

    head: Head
    thresholds: Mapping[str, float]
    seed: int = 0
    is_encoder: bool = False

    def answers(self, run: Runner, heard: Heard, progress: Progress = silent) -> Answers:
        """Lets a form answer."""
        parts = []
        for first in range(0, len(heard), 16):
            parts.append(run(heard.features[first : first + 16]))
            progress(min(first + 16, len(heard)), len(heard))
        outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
        scores = self.head.scores(outputs[0])
        return Answers(outputs, scores, decisions(scores, self.head, self.thresholds))


def compare(
    form: str, judge: Judge, heard: Heard, exact: Answers, found: Answers, on_cpu: Answers
) -> Compared:
    """Compares one form with the float model.

    Args:
        form: its name.
        judge: head and thresholds.
        heard: N windows.
        exact: answers of the float model.
        found: answers of the form.
        on_cpu: answers of the same file on the CPU.

    Returns:
        All figures.
    """
    target = np.array([target_index(label, judge.head.labels) for label in heard.labels])
    # Of a wake word, not to fire is the right answer to other words.
    known = np.ones(len(heard), dtype=bool) if judge.head.task == "wake" else target >= 0
    right, right_float = ((a.decided == target)[known].astype(float) for a in (found, exact))
    labelled = bool(known.any()) and bool((target >= 0).any())
    otherwise = "cosine" if judge.is_encoder else "agreement"
    speakers = [s for s, k in zip(heard.speakers, known, strict=True) if k]
    labels = [x for x, k in zip(heard.labels, known, strict=True) if k]
    lost = right_float - right
    detection = _detection(judge, target, exact, found)
    interval = None
    if labelled:
        drawn_by = speakers if len(set(speakers)) > 1 else [None] * len(speakers)  # else clip by clip
        drawn = intervals.bootstrap(lost, drawn_by, np.random.default_rng(judge.seed), resamples=1000)
        interval = (100 * drawn.low, 100 * drawn.high)
    return Compared(
        form=form,
        n=len(heard),
        accuracy=float(right.mean()) if labelled else None,
        float_accuracy=float(right_float.mean()) if labelled else None,
        loss=100 * float(lost.mean()) if labelled else None,
        loss_ci95=interval,
        agreement=agreement(exact, found),
        agreement_cpu=agreement(on_cpu, found),
        error=distance(exact, found),
        cosine=_cosine(exact.outputs[0], found.outputs[0]),
        voice_cosine=_cosine(exact.outputs[1], found.outputs[1]) if len(found.outputs) > 1 else None,
        detection=detection,
        detection_loss=None if detection is None else 100 * (detection[0] - detection[1]),
        detection_loss_at_far=_loss_at_far(judge, heard, target, exact, found),
        per_label=losses_by(labels, lost) if labelled else {},
        per_speaker=losses_by(speakers, lost) if labelled else {},
        by_label=accuracies_by(labels, right_float, right) if labelled else {},
        by_speaker=accuracies_by(speakers, right_float, right) if labelled else {},
        judged_by="accuracy" if labelled else otherwise,
    )


def agreement(one: Answers, other: Answers) -> float:
    """Gives the share of windows on which two forms decide alike."""
    return float((one.decided == other.decided).mean())


def distance(one: Answers, other: Answers) -> float:
    """Gives the mean absolute difference between the embeddings of two forms."""
    return float(np.abs(one.outputs[0] - other.outputs[0]).mean())


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())


def _detection(
    judge: Judge, target: NDArray[np.int64], exact: Answers, found: Answers
) -> tuple[float, float] | None:
    """Shares of calls that the float model and the form detect at the float model's thresholds."""
    labels = judge.head.labels
    limits = np.array([judge.thresholds.get(label, np.nan) for label in labels])
    own = [i for i, t in enumerate(target) if t >= 0 and np.isfinite(limits[t])]
    if not own:
        return None
    rates = [float((a.scores[own, target[own]] >= limits[target[own]]).mean()) for a in (exact, found)]
    return rates[0], rates[1]


def _loss_at_far(
    judge: Judge, heard: Heard, target: NDArray[np.int64], exact: Answers, found: Answers
) -> float | None:
    rates = []
    for answers in (exact, found):
        scores = Scores(
            judge.head.labels, answers.scores, target, [str(i) for i in range(len(heard))], heard.speakers
        )
        rates.append(error_rates(scores, FAR)[1])
    if rates[0] is None or rates[1] is None:
        return None
    return 100 * (rates[0].macro - rates[1].macro)


def words_head(embeddings: NDArray[np.float32], labels: Sequence[str]) -> Head:
    """Makes a head of words' means, to compare encoders that have no labels by.

    Args:
        embeddings: [N, E] of length one.
        labels: N words.

    Returns:
        A row per word: the direction of its mean, sixteen times as long.
    """
    words = tuple(sorted(set(labels) - set(RESERVED_LABELS)))
    rows = []
    for word in words:
        mean = embeddings[[label == word for label in labels]].mean(axis=0)
        rows.append(16 * mean / np.linalg.norm(mean))
    return Head(words, "keywords", np.array(rows, dtype=np.float32), np.zeros(len(words), np.float32))


def facts(found: Compared) -> dict[str, Any]:
    """Gives the JSON-able form of a comparison, rounded to what so many windows can tell."""
    import dataclasses

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 6)
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in dataclasses.asdict(found).items()}
