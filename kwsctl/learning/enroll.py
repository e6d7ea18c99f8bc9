"""`kwsctl enroll`: a personal keyword from a few clips, and what to expect of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import InputError
from kwsctl.evaluation import intervals
from kwsctl.features.logmel import compress
from kwsctl.learning.adapters._enrolment import BATCH, Enrolment, direction, embed, margins
from kwsctl.learning.budget import far_of, share_above, threshold_for
from kwsctl.learning.enrolment_clips import Take
from kwsctl.learning.promise import Promise, promise
from kwsctl.learning.rearranging import rearranged
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT, fused
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS

ADAPTERS = "kwsctl.learning.adapters"
AUTO = ("prototype", "head", "user_embedding")
REARRANGED = 60
REARRANGED_EASE = 20.0  # a rearranged word is met that much more rarely than other words are
Policy = Literal["biased", "only"]


@dataclass(frozen=True)
class EnrollOptions:
    """How to enrol.

    Attributes:
        method: file in `learning/adapters/`, or `auto`.
        policy: `biased`: others who say the keyword are neutral; `only`: they are refused.
        far: budget of false alarms as a share of words that are not the keyword.
        fa_per_hour: budget in an hour of speech without a pause, in the place of `far`.
        seed: of everything random.
    """

    method: str = "auto"
    policy: Policy = "biased"
    far: float = 0.002
    fa_per_hour: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.policy not in ("biased", "only"):
            raise InputError(f"There is no policy {self.policy!r}.", "Use biased or only.")
        if not 0 < self.budget < 1:
            raise InputError(
                f"A budget of {self.budget:g} is no share of words.", "Give one between 0 and 1."
            )

    @property
    def budget(self) -> float:
        """Share of words that may be taken for the keyword."""
        return self.far if self.fa_per_hour is None else far_of(self.fa_per_hour)


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


class Adapter(Protocol):
    """A file in `learning/adapters/`."""

    def learn(self, task: Enrolment) -> Delta:
        """Makes the change of one keyword."""


@dataclass(frozen=True, eq=False)
class _Material:
    """Everything that one enrolment is judged by.

    Attributes:
        task: what the adapter is given; its negatives are half of the stored ones, and rearranged clips.
        held_out: [N, F, T] features of the other half.
        rearranged: [R, F, T] rearranged clips that no adapter was given.
        voices: [N] cosines of the voices of the held-out negatives to the person's; None without voices.
        voice: [S] the person's voice.
        own_voices: [K] cosines of each clip's voice to the mean of the others.
    """

    task: Enrolment
    held_out: Tensor
    rearranged: Tensor
    voices: NDArray[np.float64] | None
    voice: Tensor | None
    own_voices: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class _Trial:
    """One adapter's answer and how it does on what it was not given."""

    method: str
    delta: Delta
    threshold: float
    left_out: NDArray[np.float64]
    negatives: NDArray[np.float64]
    expected: Promise


def enroll(
    base: Bundle,
    keyword: str,
    takes: Sequence[Take],
    negatives: StoredNegatives,
    options: EnrollOptions,
    progress: Progress = silent,
) -> Enrolled:
    """Makes a keyword personal, or teaches a new one.

    Args:
        base: the global bundle, or the person's so far.
        keyword: a label of the base, or a new word.
        takes: the person's clips.
        negatives: of other people.
        options: how.
        progress: counts adapters and clips that are left out.

    Returns:
        The change, its threshold, and what to expect, measured on nothing that was learned from.

    Raises:
        InputError: no clips, a reserved label, or a policy that the base cannot serve.
    """
    _check(base, keyword, takes, options)
    material = _material(base, keyword, takes, negatives, options)
    names = AUTO if options.method == "auto" else (options.method,)
    trials = []
    for number, name in enumerate(names):
        trials.append(_try(name, material, options))
        progress(number + 1, len(names))
    best = max(trials, key=lambda trial: (round(trial.expected.rate, 2), -names.index(trial.method)))
    return _enrolled(best, trials, material, options)


def _check(base: Bundle, keyword: str, takes: Sequence[Take], options: EnrollOptions) -> None:
    if not takes:
        raise InputError(
            "No clip can be used.", "Record three to five clips of the keyword in a quiet place."
        )
    if keyword in RESERVED_LABELS or not keyword.strip():
        raise InputError(f"{keyword!r} cannot be a keyword.", "Give a word or a phrase.")
    if options.method != "auto":
        registry.load(ADAPTERS, options.method)
    if options.policy == "only" and not hasattr(base.model(), "both"):
        raise InputError(
            f"The policy 'only' needs a model that tells voices apart; {base.arch} does not.",
            "Use --policy biased, or --model with an encoder (arch duet).",
        )


def _material(
    base: Bundle, keyword: str, takes: Sequence[Take], negatives: StoredNegatives, options: EnrollOptions
) -> _Material:
    others = [i for i, label in enumerate(negatives.labels) if label != keyword]
    fit_rows, held_rows = others[::2], others[1::2]
    draw = numpy_generator(options.seed, "rearranged")
    mixed = rearranged(
        [t.power for t in takes], [t.speech_frames for t in takes], base.n_frames, 2 * REARRANGED, draw
    )
    mixed = compress(mixed)
    task = Enrolment(
        base,
        keyword,
        torch.stack([t.power for t in takes]),
        torch.cat([negatives.features(base.n_frames, fit_rows), mixed[::2]]),
        options.seed,
    )
    held_out = negatives.features(base.n_frames, held_rows)
    voice = voices = own = None
    if hasattr(task.network, "both"):
        mine = voice_of(task.network, task.positives)
        voice = direction(mine)
        voices = (voice_of(task.network, held_out) @ voice).double().numpy()
        own = np.array(
            [float(mine[i] @ direction(torch.cat([mine[:i], mine[i + 1 :]]))) for i in range(len(mine))]
            if len(mine) > 1
            else []
        )
    return _Material(task, held_out, mixed[1::2], voices, voice, own)


def voice_of(network: nn.Module, features: Tensor) -> Tensor:
    """Runs the speaker embedding over [N, F, T] in batches and gives [N, S], without gradients."""
    with torch.no_grad():
        return torch.cat([cast(Any, network).speaker(part) for part in torch.split(features, BATCH)])


def _try(name: str, material: _Material, options: EnrollOptions) -> _Trial:
    task = material.task
    adapter = cast(Adapter, registry.load(ADAPTERS, name))
    delta = adapter.learn(task)
    personal = task.base.with_delta(delta)
    negatives = _margins(personal, task.keyword, material.held_out)
    mixed = _margins(personal, task.keyword, material.rearranged)
    left_out = np.array(
        [
            _margins(
                task.base.with_delta(adapter.learn(task.without(i))), task.keyword, task.positives[i : i + 1]
            )[0]
            for i in range(len(task.power))
        ]
        if len(task.power) > 1
        else []
    )
    if options.policy == "only" and material.voices is not None and material.own_voices is not None:
        negatives = fused(negatives, material.voices)
        mixed = fused(mixed, np.full(len(mixed), material.own_voices.mean() if len(left_out) else 1.0))
        left_out = fused(left_out, material.own_voices)
    threshold = max(
        threshold_for(negatives, options.budget),
        threshold_for(mixed, min(1.0, REARRANGED_EASE * options.budget)),
    )
    expected = promise(left_out, threshold, numpy_generator(options.seed, "promise"))
    return _Trial(name, delta, threshold, left_out, negatives, expected)


def _margins(bundle: Bundle, keyword: str, features: Tensor) -> NDArray[np.float64]:
    network = bundle.model()
    logits = cast(nn.Linear, network.head)(embed(network, features)).detach()
    return margins(bundle, keyword, logits).double().numpy()


def _enrolled(
    best: _Trial, trials: Sequence[_Trial], material: _Material, options: EnrollOptions
) -> Enrolled:
    task = material.task
    only = options.policy == "only"
    return Enrolled(
        keyword=task.keyword,
        delta=best.delta,
        method=best.method,
        why=_why(best, trials),
        threshold=float(torch.sigmoid(torch.tensor(best.threshold, dtype=torch.float64))),
        fusion=(VOICE_WEIGHT, VOICE_OFFSET) if only else (),
        voice=material.voice,
        centroids=embed(task.network, task.positives),
        expected=best.expected,
        wrong_word=_measured(best.negatives, best.threshold),
        impostor=_impostor(best, material) if only else None,
    )


def _impostor(best: _Trial, material: _Material) -> Rate | None:
    """Guesses how many others pass who say the keyword: their voice, the person's word."""
    if material.voices is None or not len(best.left_out):
        return None
    personal = material.task.base.with_delta(best.delta)
    words = _margins(personal, material.task.keyword, material.task.positives)
    scores = fused(np.tile(words, len(material.voices)), np.repeat(material.voices, len(words)))
    passed = int((scores >= best.threshold).reshape(len(material.voices), -1).mean(1).round().sum())
    found = intervals.wilson(passed, len(material.voices))
    return Rate(passed / len(material.voices), found.low, found.high, len(material.voices))


def _measured(negatives: NDArray[np.float64], threshold: float) -> Rate:
    passed = int((negatives >= threshold).sum())
    found = intervals.wilson(passed, len(negatives))
    return Rate(share_above(negatives, threshold), found.low, found.high, len(negatives))


def _why(best: _Trial, trials: Sequence[_Trial]) -> str:
    if len(trials) == 1:
        return "as asked"
    if not len(best.left_out):
        return "one clip leaves nothing to compare methods with: the simplest"
    rates = ", ".join(f"{t.method} {t.expected.rate:.0%}" for t in trials)
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
