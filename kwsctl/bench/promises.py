"""Whether enrolment keeps its promise: the expected detection rate against that of clips it never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kwsctl.bench.people import People, too_few_clips
from kwsctl.evaluation import intervals
from kwsctl.learning.adapters._enrolment import embed, margins
from kwsctl.learning.enroll import Enrolled, enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_material import voice_of
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.voice_fusion import fused
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator


@dataclass(frozen=True)
class Kept:
    """One enrolment.

    Attributes:
        speaker: the person.
        keyword: the word.
        method: what was chosen.
        promised: expected detection rate.
        low: lower end of its interval.
        high: its upper end.
        found: detection rate of the clips that were not enrolled.
        tests: how many these are.
        wrong_same: share of the person's other words that passed.
        wrong_other: share of other people's other words that passed.
        impostors: share of other people's clips of the keyword that passed.
        seconds: wall time of the enrolment.
    """

    speaker: str
    keyword: str
    method: str
    promised: float
    low: float
    high: float
    found: float
    tests: int
    wrong_same: float
    wrong_other: float
    impostors: float
    seconds: float


@dataclass(frozen=True)
class Promises:
    """What the bench prints.

    Attributes:
        inside: share of enrolments whose held-out rate lies in the promised interval.
        inside_low: lower end of its 95 % interval over people.
        inside_high: its upper end.
        promised: mean expected detection rate.
        found: mean held-out detection rate.
        width: mean width of the intervals.
        budget: false alarms asked for, as a share of words.
        wrong_same: mean share of the person's own other words that passed.
        wrong_other: mean share of other people's other words that passed.
        impostors: mean share of others saying the keyword that passed.
        seconds: median wall time of an enrolment.
        shots: clips enrolled.
        policy: `biased` or `only`.
        people: how many.
        words: how many.
        methods: how often each was chosen.
        cases: one by one.
    """

    inside: float
    inside_low: float
    inside_high: float
    promised: float
    found: float
    width: float
    budget: float
    wrong_same: float
    wrong_other: float
    impostors: float
    seconds: float
    shots: int
    policy: str
    people: int
    words: int
    methods: dict[str, int]
    cases: tuple[Kept, ...]


def promises(
    people: People,
    negatives: StoredNegatives,
    *,
    words: Sequence[str],
    shots: int,
    options: EnrollOptions,
    progress: Progress = silent,
) -> Promises:
    """Enrols each word by each person as `kwsctl enroll` does, and holds it to its word.

    Args:
        people: whom the model has never heard.
        negatives: stored ones, of yet other people.
        words: what they enrol.
        shots: clips to enrol; the others are the test.
        options: as for `kwsctl enroll`.
        progress: counts enrolments.

    Returns:
        How often the held-out rate lies in the promised interval.

    Raises:
        InputError: nobody has enough clips.
    """
    voices = voice_of(people.base.model(), people.features) if options.policy == "only" else None
    jobs = [(s, w) for s in sorted(set(people.speakers)) for w in words]
    cases = []
    for number, (speaker, word) in enumerate(jobs):
        clips = people.clips(speaker, word, options.seed)
        if len(clips) > shots:
            began = time.perf_counter()
            made = enroll(people.base, word, [people.takes[i] for i in clips[:shots]], negatives, options)
            seconds = time.perf_counter() - began
            cases.append(_kept(people, voices, made, speaker, clips[shots:], seconds))
        progress(number + 1, len(jobs))
    if not cases:
        raise too_few_clips(words, shots)
    return _summary(cases, shots, options)


def _kept(
    people: People,
    voices: torch.Tensor | None,
    made: Enrolled,
    speaker: str,
    tests: NDArray[np.int64],
    seconds: float,
) -> Kept:
    personal = people.base.with_delta(made.delta)
    network = personal.model()
    head = cast(nn.Linear, network.head)
    in_head = all(name.startswith("head.") for name in made.delta.changes)
    embeddings = people.embeddings if in_head else embed(network, people.features)
    threshold = float(np.log(made.threshold / (1 - made.threshold)))

    def passed(rows: NDArray[np.int64]) -> float:
        found = margins(personal, made.keyword, head(embeddings[rows])).detach().double().numpy()
        if voices is not None and made.voice is not None:
            found = fused(found, (voices[rows] @ made.voice).double().numpy())
        return float((found >= threshold).mean())

    return Kept(
        speaker,
        made.keyword,
        made.method,
        made.expected.rate,
        made.expected.low,
        made.expected.high,
        passed(tests),
        len(tests),
        passed(people.others(speaker, made.keyword)),
        passed(people.strangers(speaker, made.keyword)),
        passed(people.impostors(speaker, made.keyword)),
        seconds,
    )


def _summary(cases: Sequence[Kept], shots: int, options: EnrollOptions) -> Promises:
    inside = np.array([c.low <= c.found <= c.high for c in cases], dtype=float)
    speakers = [c.speaker for c in cases]
    interval = intervals.bootstrap(inside, speakers, numpy_generator(0, "promises"), resamples=1000)
    return Promises(
        inside=float(inside.mean()),
        inside_low=interval.low,
        inside_high=interval.high,
        promised=float(np.mean([c.promised for c in cases])),
        found=float(np.mean([c.found for c in cases])),
        width=float(np.mean([c.high - c.low for c in cases])),
        budget=options.budget,
        wrong_same=float(np.mean([c.wrong_same for c in cases])),
        wrong_other=float(np.mean([c.wrong_other for c in cases])),
        impostors=float(np.mean([c.impostors for c in cases])),
        seconds=float(np.median([c.seconds for c in cases])),
        shots=shots,
        policy=options.policy,
        people=len(set(speakers)),
        words=len({c.keyword for c in cases}),
        methods={name: sum(c.method == name for c in cases) for name in sorted({c.method for c in cases})},
        cases=tuple(cases),
    )
