"""Enrols words that the encoder has never heard, by people it has never heard, and tries to break them.

False alarms are of two kinds that must not be mixed: another word (by the same person, or by others), and
the word itself said by somebody else, which only the policy `only` has to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kwsctl import registry
from kwsctl.bench.people import People
from kwsctl.evaluation import metrics
from kwsctl.learning.adapters._enrolment import Enrolment, direction, margins
from kwsctl.learning.enrolment_trials import ADAPTERS, voice_of
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.voice_fusion import fused
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator

FAR = 0.01
RESAMPLES = 200  # of people
STRANGERS = 200  # clips of other words by other people that each enrolment is tried on


@dataclass(frozen=True)
class Figures:
    """How well trials are told apart.

    Attributes:
        eer: equal error rate.
        eer_low: lower end of its 95 % interval over people.
        eer_high: its upper end.
        found: share of the person's own calls found where 1 % of the others pass.
        found_low: lower end of its 95 % interval over people.
        found_high: its upper end.
        targets: own calls.
        non_targets: other trials.
    """

    eer: float
    eer_low: float
    eer_high: float
    found: float
    found_low: float
    found_high: float
    targets: int
    non_targets: int


@dataclass(frozen=True)
class NewWords:
    """What the bench prints.

    Attributes:
        method: adapter.
        shots: clips enrolled.
        people: how many.
        words: how many.
        figures: by kind of trial.
    """

    method: str
    shots: int
    people: int
    words: int
    figures: Mapping[str, Figures]


@dataclass(frozen=True, eq=False)
class _Trials:
    """Margins of one enrolment."""

    speaker: str
    own: NDArray[np.float64]
    wrong_same: NDArray[np.float64]
    wrong_other: NDArray[np.float64]
    own_fused: NDArray[np.float64]
    wrong_fused: NDArray[np.float64]
    impostor: NDArray[np.float64]
    impostor_fused: NDArray[np.float64]


def new_words(
    people: People,
    negatives: StoredNegatives,
    *,
    words: Sequence[str],
    shots: int = 3,
    method: str = "head",
    seed: int = 0,
    progress: Progress = silent,
) -> NewWords:
    """Enrols each word by each person and tries it on all other clips.

    Args:
        people: whom the encoder has never heard.
        negatives: stored ones, of yet other people.
        words: which it has never heard either.
        shots: clips to enrol.
        method: adapter that changes nothing but the head.
        seed: of the order of clips.
        progress: counts enrolments.

    Returns:
        Figures by kind of trial.
    """
    speakers = sorted(set(people.speakers))
    voices = voice_of(people.base.model(), people.features)
    fixed = negatives.features(people.base.n_frames)
    trials = []
    jobs = [(s, w) for s in speakers for w in words]
    first: Enrolment | None = None
    for number, (speaker, word) in enumerate(jobs):
        clips = people.clips(speaker, word, seed)
        if len(clips) > shots:
            task = Enrolment(
                people.base, word, torch.stack([people.takes[i].power for i in clips[:shots]]), fixed, seed
            )
            if first is not None:
                for name in ("network", "negative_embeddings"):
                    task.__dict__[name] = getattr(first, name)
            first = first or task
            trials.append(_one(task, people, voices, clips, method, shots))
        progress(number + 1, len(jobs))
    kinds = {
        "wrong word, same person": ("own", "wrong_same"),
        "wrong word, other people": ("own", "wrong_other"),
        "wrong word, same person, with voice": ("own_fused", "wrong_fused"),
        "impostor, word only": ("own", "impostor"),
        "impostor, with voice": ("own_fused", "impostor_fused"),
    }
    return NewWords(
        method, shots, len(speakers), len(words), {k: _figures(trials, *v) for k, v in kinds.items()}
    )


def _one(
    task: Enrolment, people: People, voices: torch.Tensor, clips: NDArray[np.int64], method: str, shots: int
) -> _Trials:
    adapter = registry.load(ADAPTERS, method)
    personal = task.base.with_delta(adapter.learn(task))
    head = cast(nn.Linear, personal.model().head)
    speaker = str(people.speakers[clips[0]])
    voice = direction(voices[clips[:shots]])

    def word_margins(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return margins(personal, task.keyword, head(people.embeddings[rows])).detach().double().numpy()

    def voice_cosines(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return (voices[rows] @ voice).double().numpy()

    own, wrong = clips[shots:], people.others(speaker, task.keyword)
    strangers = people.strangers(speaker, task.keyword)
    some = strangers[:: max(1, len(strangers) // STRANGERS)]
    impostors = people.impostors(speaker, task.keyword)
    return _Trials(
        speaker,
        word_margins(own),
        word_margins(wrong),
        word_margins(some),
        fused(word_margins(own), voice_cosines(own)),
        fused(word_margins(wrong), voice_cosines(wrong)),
        word_margins(impostors),
        fused(word_margins(impostors), voice_cosines(impostors)),
    )


def _figures(trials: Sequence[_Trials], targets: str, others: str) -> Figures:
    """Pools all trials under one threshold; intervals are over people."""
    names = sorted({trial.speaker for trial in trials})
    of = {name: [t for t in trials if t.speaker == name] for name in names}

    def both(chosen: Sequence[str]) -> tuple[float, float]:
        own = np.concatenate([getattr(t, targets) for name in chosen for t in of[name]])
        other = np.concatenate([getattr(t, others) for name in chosen for t in of[name]])
        return metrics.eer(own, other).rate, metrics.detection_rate_at_far(own, other, FAR).detection_rate

    eer, found = both(names)
    draw = numpy_generator(0, "new words", targets, others)
    drawn = np.array(
        [both([names[i] for i in draw.integers(len(names), size=len(names))]) for _ in range(100)]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Figures(
        eer,
        float(low[0]),
        float(high[0]),
        found,
        float(low[1]),
        float(high[1]),
        sum(len(getattr(t, targets)) for t in trials),
        sum(len(getattr(t, others)) for t in trials),
    )
