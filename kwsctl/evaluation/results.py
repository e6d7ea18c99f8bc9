"""What an evaluation found, as frozen values and as the JSON object of `kwsctl evaluate`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation.fairness import SpeakerRate, WorstDecile
from kwsctl.evaluation.intervals import Interval
from kwsctl.evaluation.metrics import LabelFigures
from kwsctl.evaluation.operating_point import Detection, FalseAlarms, Tradeoff
from kwsctl.types import Clip, Scores


@dataclass(frozen=True)
class Confusion:
    """Which label was taken for which.

    Attributes:
        labels: L names.
        counts: [L, L] clips, true label by predicted label.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class KeywordRates:
    """A rate per keyword, with every other clip as a trial that should be rejected.

    Attributes:
        macro: mean over the keywords that have one.
        per_keyword: the rate; None for keywords without clips.
    """

    macro: float
    per_keyword: dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one split.

    Attributes:
        task: `keywords` or `wake`.
        arch: architecture of the model.
        bundle_sha256: which model.
        split: which clips.
        n: clips that `accuracy`, or for a wake word the detection rate, is taken over.
        n_excluded: clips of words that a keyword model has no label for, not even `_unknown_`.
        n_speakers: known speakers among the n clips.
        speakers_known: whether all n clips name their speaker.
        accuracy: share of clips recognized; None for a wake word, where detection figures count.
        ci95: its interval.
        per_label: by label; for a wake word recall is the detection rate.
        per_speaker: accuracy, or detection rate of a wake word, worst first.
        worst_decile: None with fewer than two known speakers.
        confusion: None for a wake word.
        eer: None if no clip could be a false alarm.
        far: bound on false alarms among clips for `detection_rate_at_far`.
        detection_rate_at_far: None where `eer` is.
        detection: at the threshold for the budget of false alarms, else as shipped.
        detection_as_shipped: at the bundle's own thresholds; None if it has none.
        budget_per_hour: false alarms allowed, per hour.
        provable_per_hour: the lowest rate so much background audio can prove; None without audio.
        warnings: what the reader should know before quoting a figure.
        scored: the clips, background aside.
        scores: of these clips.
        tradeoff: what other thresholds would give.
    """

    task: str
    arch: str
    bundle_sha256: str
    split: str
    n: int
    n_excluded: int
    n_speakers: int
    speakers_known: bool
    accuracy: float | None
    ci95: Interval | None
    per_label: dict[str, LabelFigures]
    per_speaker: tuple[SpeakerRate, ...]
    worst_decile: WorstDecile | None
    confusion: Confusion | None
    eer: KeywordRates | None
    far: float
    detection_rate_at_far: KeywordRates | None
    detection: Detection | None
    detection_as_shipped: Detection | None
    budget_per_hour: float
    provable_per_hour: float | None
    warnings: tuple[str, ...]
    scored: tuple[Clip, ...] = field(repr=False)
    scores: Scores = field(repr=False)
    tradeoff: Tradeoff = field(repr=False)

    @property
    def headline(self) -> float | None:
        """What `--fail-under` looks at: accuracy, for a wake word the detection rate."""
        if self.accuracy is not None or self.detection is None:
            return self.accuracy
        return 1 - self.detection.frr

    def facts(self) -> dict[str, Any]:
        """Gives the JSON-able form, without the scores of single clips."""
        speaker_figures = {s.speaker: {"rate": s.rate, "n": s.n} for s in self.per_speaker}
        return {
            "task": self.task,
            "arch": self.arch,
            "bundle_sha256": self.bundle_sha256,
            "split": self.split,
            "clips": len(self.scored),
            "seconds": round(self.scores.seconds, 3),
            "accuracy": self.accuracy,
            "n": self.n,
            "n_excluded": self.n_excluded,
            "n_speakers": self.n_speakers,
            "speakers_known": self.speakers_known,
            "ci95": _pair(self.ci95),
            "ci95_method": None if self.ci95 is None else self.ci95.method,
            "per_label": {label: asdict(figures) for label, figures in self.per_label.items()},
            "per_speaker": speaker_figures,
            "worst_decile": None if self.worst_decile is None else asdict(self.worst_decile),
            "confusion": None if self.confusion is None else asdict(self.confusion),
            "eer": None if self.eer is None else asdict(self.eer),
            "detection_rate_at_far": None
            if self.detection_rate_at_far is None
            else {"far": self.far, **asdict(self.detection_rate_at_far)},
            "detection": self._detection_facts(self.detection),
            "detection_as_shipped": self._detection_facts(self.detection_as_shipped),
            "warnings": list(self.warnings),
        }

    def _detection_facts(self, found: Detection | None) -> dict[str, Any] | None:
        if found is None:
            return None
        alarms = found.false_alarms
        return {
            "threshold": found.threshold,
            "threshold_from": found.threshold_from,
            "frr": found.frr,
            "frr_ci95": _pair(found.frr_ci95),
            "frr_ci95_method": found.frr_ci95.method,
            "n": found.n,
            **(_alarm_facts(alarms) if alarms else _NO_ALARM_FACTS),
            "backgrounds": {name: _alarm_facts(counted) for name, counted in found.backgrounds.items()},
            "wrong_word": None if found.wrong_word is None else asdict(found.wrong_word),
            "silence": None if found.silence is None else asdict(found.silence),
            "smoothing_s": found.trigger.smoothing_s,
            "refractory_s": found.trigger.refractory_s,
            "budget": self.budget_per_hour,
            "provable_per_hour": self.provable_per_hour,
        }


_NO_ALARM_FACTS = {
    "false_alarms": None,
    "false_alarms_per_hour": None,
    "false_alarms_per_hour_ci95": None,
    "hours": 0.0,
}


def _alarm_facts(alarms: FalseAlarms) -> dict[str, Any]:
    return {
        "false_alarms": alarms.count,
        "false_alarms_per_hour": alarms.per_hour,
        "false_alarms_per_hour_ci95": _pair(alarms.ci95),
        "hours": alarms.hours,
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
