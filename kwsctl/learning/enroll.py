"""`kwsctl enroll`: a personal keyword from a few clips, and what to expect of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import InputError
from kwsctl.evaluation import intervals
from kwsctl.learning.adapters._enrolment import Enrolment, embed
from kwsctl.learning.adapters._sparse import chosen
from kwsctl.learning.budget import share_above
from kwsctl.learning.cost import Cost
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_clips import Take
from kwsctl.learning.enrolment_cost import LADDER, check_precision, cost_of, within
from kwsctl.learning.enrolment_material import Material, gathered
from kwsctl.learning.enrolment_trials import ADAPTERS, Trial, margins_of, tried
from kwsctl.learning.promise import Promise
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT, fused
from kwsctl.progress import Progress, silent
from kwsctl.threads import one_thread
from kwsctl.types import RESERVED_LABELS

AUTO = ("prototype", "head", "user_embedding")
DEEP = "interpolated"
LEAST_DEEP_CLIPS = 4
NO_LESS = 0.5  # of what another method promises, from a few clips


@dataclass(frozen=True)
class Rate:
    """A measured share with its interval.

    Attributes:
        rate: the share.
        low: lower end of the 95 % interval.
        high: its upper end.
        n: of how many.
    """

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A personal keyword.

    Attributes:
        keyword: what was enrolled.
        delta: what to add to the base.
        method: the adapter.
        why: why this adapter, in words.
        threshold: score from which the keyword counts as detected.
        fusion: weight and offset of the voice's cosine; empty where only the word counts.
        voice: [S] direction of the person's voice; None where the base has no speaker embedding.
        centroids: [K, E] embeddings of the clips, by the base.
        expected: detection rate to expect.
        wrong_word: share of held-out stored negatives above the threshold.
        impostor: share of others' voices that would pass if they said the keyword; None if not to be told.
    """

    keyword: str
    delta: Delta
    method: str
    why: str
    threshold: float
    fusion: tuple[float, ...]
    voice: Tensor | None
    centroids: Tensor
    expected: Promise
    wrong_word: Rate
    impostor: Rate | None


def enroll(
    base: Bundle,
    keyword: str,
    takes: Sequence[Take],
    negatives: StoredNegatives,
    options: EnrollOptions,
    progress: Progress = silent,
    *,
    taught: Collection[str] = (),
) -> Enrolled:
    """Makes a keyword personal, or teaches a new one.

    Args:
        base: the global bundle, or the person's so far.
        keyword: a label of the base, or a new word.
        takes: the person's clips.
        negatives: of other people.
        options: how.
        progress: counts adapters and clips that are left out.
        taught: labels of the base that were not trained but enrolled.

    Returns:
        The change, its threshold, and what to expect, measured on nothing that was learned from.

    Raises:
        InputError: no clips, a reserved label, or a policy that the base cannot serve.
    """
    _check(base, keyword, takes, options)
    with one_thread():
        given = gathered(base, keyword, takes, negatives, options, taught)
        return _best(given, len(takes), options, progress)


def _best(given: Material, n_clips: int, options: EnrollOptions, progress: Progress) -> Enrolled:
    names = candidates(given.task, options)
    trials = []
    for number, name in enumerate(names):
        trials.append(tried(name, given, options))
        progress(number + 1, len(names))
    # The simplest of the best: max gives the first of equals.
    best = max(trials, key=_promised)
    # A new word is one row on an encoder made for it; changing the network would take longer than all else.
    if len(names) > 1 and n_clips >= LEAST_DEEP_CLIPS and given.is_known:
        trials.append(tried(DEEP, given, options))
        progress(len(trials), len(trials))
        # A few clips hardly tell methods apart; over many people this one is ahead.
        if _promised(trials[-1]) >= NO_LESS * _promised(best):
            best = trials[-1]
    return _enrolled(best, trials, given, options)


def costs(
    base: Bundle, keyword: str, takes: Sequence[Take], negatives: StoredNegatives, options: EnrollOptions
) -> dict[str, Cost]:
    """Measures what an enrolment takes; nothing is learned.

    Args:
        base: the global bundle, or the person's so far.
        keyword: a label of the base, or a new word.
        takes: the person's clips.
        negatives: of other people.
        options: with a memory budget, every method that it could choose is measured, else those to be tried.

    Returns:
        The cost by method; what does not fit however it is cut is left out.

    Raises:
        InputError: as `enroll`.
    """
    _check(base, keyword, takes, options)
    task = gathered(base, keyword, takes, negatives, options).task
    names = LADDER if options.memory_budget is not None else AUTO
    found = {}
    for name in names if options.method == "auto" else (options.method,):
        if name == "sparse" and options.method == "auto" and not chosen(task):
            continue  # no layer is worth its memory: that is `shift`
        with contextlib.suppress(InputError):
            found[name] = cost_of(name, task)
    return found


def candidates(task: Enrolment, options: EnrollOptions) -> tuple[str, ...]:
    """Lists the methods to try: those of the head, the one asked for, or the one that the memory allows.

    Args:
        task: base, keyword, clips and negatives.
        options: method and memory budget.

    Returns:
        Files in `learning/adapters/`.

    Raises:
        InputError: the budget is too small for any.
    """
    if options.method != "auto":
        return (options.method,)
    return AUTO if options.memory_budget is None else (within(task, options.memory_budget),)


def _promised(trial: Trial) -> float:
    """Gives what a trial promises, in whole per cent."""
    return round(trial.expected.rate, 2)


def _check(base: Bundle, keyword: str, takes: Sequence[Take], options: EnrollOptions) -> None:
    if not takes:
        raise InputError(
            "No clip can be used.", "Record three to five clips of the keyword in a quiet place."
        )
    if keyword in RESERVED_LABELS or not keyword.strip():
        raise InputError(f"{keyword!r} cannot be a keyword.", "Give a word or a phrase.")
    if options.method != "auto":
        registry.load(ADAPTERS, options.method)
    check_precision(options, AUTO)
    if options.policy == "only" and not hasattr(base.model(), "both"):
        raise InputError(
            f"The policy 'only' needs a model that tells voices apart; {base.arch} does not.",
            "Use --policy biased, or --model with an encoder (arch duet).",
        )


def _enrolled(best: Trial, trials: Sequence[Trial], material: Material, options: EnrollOptions) -> Enrolled:
    task = material.task
    only = options.policy == "only"
    return Enrolled(
        keyword=task.keyword,
        delta=best.delta,
        method=best.method,
        why=_why(best, trials, options),
        threshold=float(torch.sigmoid(torch.tensor(best.threshold, dtype=torch.float64))),
        fusion=(VOICE_WEIGHT, VOICE_OFFSET) if only else (),
        voice=material.voice,
        centroids=embed(task.network, task.positives),
        expected=best.expected,
        wrong_word=_measured(best.negatives, best.threshold),
        impostor=_impostor(best, material) if only else None,
    )


def _impostor(best: Trial, material: Material) -> Rate | None:
    """Guesses how many others pass who say the keyword: their voice, the person's word."""
    if material.voices is None or not len(best.left_out):
        return None
    personal = material.task.base.with_delta(best.delta)
    words = margins_of(personal, material.task.keyword, material.task.positives)
    voices = np.max(material.voices, axis=0)  # of two rooms, where they are nearer to the person's
    scores = fused(np.tile(words, len(voices)), np.repeat(voices, len(words)))
    passed = int((scores >= best.threshold).reshape(len(voices), -1).mean(1).round().sum())
    found = intervals.wilson(passed, len(voices))
    return Rate(passed / len(voices), found.low, found.high, len(voices))


def _measured(negatives: NDArray[np.float64], threshold: float) -> Rate:
    passed = int((negatives >= threshold).sum())
    found = intervals.wilson(passed, len(negatives))
    return Rate(share_above(negatives, threshold), found.low, found.high, len(negatives))


def _why(best: Trial, trials: Sequence[Trial], options: EnrollOptions) -> str:
    if len(trials) == 1:
        return "as asked" if options.method != "auto" else "the most that the memory budget allows"
    if not len(best.left_out):
        return "one clip leaves nothing to compare methods with: the simplest"
    rates = ", ".join(f"{t.method} {t.expected.rate:.0%}" for t in trials)
    if best.method == DEEP:
        return f"ahead over many people, and clips left out do not object ({rates})"
    ties = sum(round(t.expected.rate, 2) == round(best.expected.rate, 2) for t in trials) > 1
    reason = "the simplest of the best" if ties else "the best"
    return f"{reason} on clips left out in turn, at equal false alarms ({rates})"


def as_facts(enrolled: Enrolled) -> Mapping[str, Any]:
    """Gives what to expect, as JSON-able values for a profile.

    Args:
        enrolled: a personal keyword.

    Returns:
        Rates with intervals, by name.
    """
    rates = {
        "detection_rate": dataclasses.asdict(enrolled.expected),
        "wrong_word_far": dataclasses.asdict(enrolled.wrong_word),
    }
    if enrolled.impostor is not None:
        rates["impostor_far"] = dataclasses.asdict(enrolled.impostor)
    return rates
