"""Enrols a word on an exported package, by inference only: numpy and ONNX Runtime, no torch.

The backbone is frozen. A row of the head is made from embeddings: as the mean of the person's clips
(`prototype`), or from there by steps of the package's own `head_step.onnx` (`head`). What is not learned from
decides: clips are left out in turn, and the threshold comes from other people's words and from the person's
own speech in another order, as in `learning/enroll.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.evaluation import intervals
from kwsctl.export.negatives import Others, read_negatives
from kwsctl.export.personal import Part
from kwsctl.export.rows import Material, direction, prototype, stepped
from kwsctl.export.runtime import Runtime
from kwsctl.export.scores import Head, sigmoid
from kwsctl.export.takes import VARIATIONS, Take, passing, rearranged
from kwsctl.learning.budget import far_of, limit_of_rearranged, share_above, threshold_for
from kwsctl.learning.piece_orders import REARRANGED
from kwsctl.learning.promise import Promise, promise
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT, fused
from kwsctl.progress import Progress, silent
from kwsctl.storage import sha256_of
from kwsctl.types import RESERVED_LABELS

Floats = NDArray[np.float32]
PLACES = (-24, -12, 0, 12, 24)  # as in learning/enrolment_material.py, which needs torch


@dataclass(frozen=True)
class PackageEnrollOptions:
    """How to enrol on a package.

    Attributes:
        method: `prototype`, `head`, or `auto`.
        policy: `biased`: others who say the keyword are neutral; `only`: they are refused.
        far: budget of false alarms as a share of words that are not the keyword.
        fa_per_hour: budget in an hour of speech without a pause, in the place of `far`.
        seed: of everything random.
    """

    method: Literal["auto", "prototype", "head"] = "auto"
    policy: Literal["biased", "only"] = "biased"
    far: float = 0.005
    fa_per_hour: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.budget < 1:
            raise InputError(
                f"A budget of {self.budget:g} is no share of words.", "Give one between 0 and 1."
            )

    @property
    def budget(self) -> float:
        """Share of words that may be taken for the keyword."""
        return self.far if self.fa_per_hour is None else far_of(self.fa_per_hour)


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A keyword that was enrolled on a package.

    Attributes:
        part: all that is the person's now.
        method: that was taken.
        why: in words.
        threshold: score from which the keyword counts as detected.
        expected: rates to expect, with intervals, as JSON-able values.
    """

    part: Part
    method: str
    why: str
    threshold: float
    expected: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Trial:
    method: str
    head: Head
    threshold: float
    negatives: NDArray[np.float64]
    expected: Promise


def enroll(
    runtime: Runtime,
    keyword: str,
    takes: Sequence[Take],
    before: Part | None,
    user: str,
    options: PackageEnrollOptions,
    progress: Progress = silent,
) -> Enrolled:
    """Makes a keyword personal, or teaches a new one, on an exported model.

    Args:
        runtime: the opened package.
        keyword: a label, or a new word.
        takes: the person's clips.
        before: what the person has so far; None for a new one.
        user: who.
        options: how.
        progress: counts methods.

    Returns:
        What the person has now, and what to expect of it.

    Raises:
        InputError: no clips, a reserved label, or a policy that the package cannot serve.
        BundleError: the package holds nothing to enrol against.
    """
    _check(runtime, keyword, takes, options)
    head = runtime.head() if before is None else before.head
    given = _gathered(runtime, head, keyword, takes, read_negatives(runtime.package), options)
    methods = ("prototype", "head") if options.method == "auto" else (options.method,)
    trials = []
    for number, method in enumerate(methods):
        trials.append(_tried(runtime, method, given, options))
        progress(number + 1, len(methods))
    best = max(trials, key=lambda trial: (round(trial.expected.rate, 2), -methods.index(trial.method)))
    return _enrolled(runtime, best, trials, given, takes, before, user, options)


def _check(runtime: Runtime, keyword: str, takes: Sequence[Take], options: PackageEnrollOptions) -> None:
    if not takes:
        raise InputError(
            "No clip can be used.", "Record three to five clips of the keyword in a quiet place."
        )
    if keyword in RESERVED_LABELS or not keyword.strip():
        raise InputError(f"{keyword!r} cannot be a keyword.", "Give a word or a phrase.")
    if options.policy == "only" and not runtime.package.manifest.voice_size:
        raise InputError(
            "The policy 'only' needs a model that tells voices apart; this package has none.",
            "Use --policy biased, or export an encoder (arch duet).",
        )


def _gathered(
    runtime: Runtime, head: Head, keyword: str, takes: Sequence[Take], others: Others, options: Any
) -> Material:
    outputs = runtime.outputs(np.stack([view for take in takes for view in take.varied()]))
    clips = outputs[0].reshape(len(takes), 1 + len(VARIATIONS), -1)
    fit = others.fit[[label != keyword for label in others.fit_labels]]
    mixed = rearranged(takes, 2 * REARRANGED, np.random.default_rng(options.seed))
    held_mixed = runtime.outputs(passing(mixed[1::2], PLACES))[0].reshape(len(PLACES), REARRANGED, -1)
    is_known = keyword in runtime.head().labels and not runtime.package.manifest.voice_size
    if not is_known:  # as in learning/enrolment_material.py
        fit = np.concatenate([fit, runtime.outputs(mixed[::2])[0]])
    kept = [label != keyword for label in others.held_out_labels]
    voices = outputs[1].reshape(len(takes), 1 + len(VARIATIONS), -1)[:, 0] if len(outputs) > 1 else None
    return Material(
        head,
        keyword,
        clips,
        fit,
        others.held_out[:, kept],
        held_mixed,
        voices,
        others.voices[kept] if len(others.voices) else others.voices,
        is_known,
    )


def _tried(runtime: Runtime, method: str, given: Material, options: PackageEnrollOptions) -> _Trial:
    """Lets one method learn, and judges it by what it was not given."""
    learn: Callable[[Material, Floats], Head] = (
        prototype if method == "prototype" else lambda material, clips: stepped(runtime, material, clips)
    )
    head = learn(given, given.clips)
    negatives, mixed = (peaks(head, given.keyword, place) for place in (given.held_out, given.mixed))
    everyone = range(len(given.clips))
    left_out = np.array(
        [
            learn(given, given.clips[[j for j in everyone if j != i]]).margins(
                given.clips[i, :1], given.keyword
            )[0]
            for i in everyone
        ]
        if len(given.clips) > 1
        else []
    )
    if options.policy == "only" and given.voices is not None:
        mine = given.voices
        own = (
            [float(mine[i] @ direction(np.delete(mine, i, axis=0))) for i in everyone]
            if len(mine) > 1
            else []
        )
        negatives = fused(negatives, given.other_voices.astype(np.float64) @ direction(mine))
        mixed = fused(mixed, np.full(len(mixed), float(np.mean(own)) if own else 1.0))
        left_out = fused(left_out, np.array(own))
    threshold = max(
        threshold_for(negatives, options.budget),
        limit_of_rearranged(mixed, options.budget, is_known=given.is_known),
    )
    expected = promise(left_out, threshold, np.random.default_rng(options.seed))
    return _Trial(method, head, threshold, negatives, expected)


def peaks(head: Head, keyword: str, passing_words: Floats) -> NDArray[np.float64]:
    """Gives the highest margin of words on their way through the window.

    Args:
        head: with a row for the keyword.
        keyword: which row.
        passing_words: [P, N, E] embeddings of N words at P places.

    Returns:
        [N] margins.
    """
    n_places, n_words, _ = passing_words.shape
    margins = head.margins(passing_words.reshape(n_places * n_words, -1), keyword)
    return np.asarray(margins.reshape(n_places, n_words).max(axis=0))


def _enrolled(
    runtime: Runtime,
    best: _Trial,
    trials: Sequence[_Trial],
    given: Material,
    takes: Sequence[Take],
    before: Part | None,
    user: str,
    options: PackageEnrollOptions,
) -> Enrolled:
    only = options.policy == "only"
    passed = int((best.negatives >= best.threshold).sum())
    interval = intervals.wilson(passed, len(best.negatives))
    expected = {
        "detection_rate": asdict(best.expected),
        "wrong_word_far": {
            "rate": share_above(best.negatives, best.threshold),
            "low": interval.low,
            "high": interval.high,
            "n": len(best.negatives),
        },
    }
    threshold = float(sigmoid(np.array([best.threshold]))[0])
    keyword = {
        "name": given.keyword,
        "method": best.method,
        "policy": options.policy,
        "threshold": threshold,
        "far": options.far if options.fa_per_hour is None else None,
        "fa_per_hour": options.fa_per_hour,
        "fusion": [VOICE_WEIGHT, VOICE_OFFSET] if only else [],
        "clips": len(takes),
        "expected": expected,
    }
    known = before.keywords if before else {}
    digests = [take.sha256 for take in takes]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    part = Part(
        user=user,
        base_sha256=runtime.package.manifest.base_sha256,
        backbone_sha256=sha256_of(runtime.package.model),
        head=best.head,
        keywords={**known, given.keyword: keyword},
        voice=_joined_voice(given, before),
        centroids={**(before.centroids if before else {}), given.keyword: given.clips[:, 0]},
        enrolled=tuple(dict.fromkeys([*(before.enrolled if before else ()), *digests])),
        created=before.created if before else now,
        # What was learned from streams was learned for the keyword as it was.
        updates=tuple(u for u in (before.updates if before else ()) if u["keyword"] != given.keyword),
    )
    rates = ", ".join(f"{t.method} {t.expected.rate:.0%}" for t in trials)
    why = "as asked" if len(trials) == 1 else f"the best on clips left out in turn ({rates})"
    return Enrolled(part, best.method, why, threshold, expected)


def _joined_voice(given: Material, before: Part | None) -> Floats | None:
    """The direction of the voice over the clips of all words."""
    if given.voices is None:
        return before.voice if before else None
    voice = direction(given.voices)
    if before is not None and before.voice is not None:
        clips = sum(int(keyword["clips"]) for keyword in before.keywords.values())
        voice = clips * before.voice + len(given.voices) * voice
        voice = voice / np.linalg.norm(voice)
    return voice.astype(np.float32)
