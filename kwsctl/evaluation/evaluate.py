"""Evaluates a bundle on held-out clips and on continuous background audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.evaluation import backgrounds, fairness, scoring
from kwsctl.evaluation.answers import Answers, detected_words, error_rates, recognized_words
from kwsctl.evaluation.caveats import caveats
from kwsctl.evaluation.detection import BudgetThreshold, threshold_for_budget
from kwsctl.evaluation.operating_point import (
    OTHER_WORD,
    SILENT,
    Background,
    Detection,
    HeardClips,
    Threshold,
    measure,
    tradeoff,
)
from kwsctl.evaluation.options import EvaluateOptions
from kwsctl.evaluation.results import Evaluation
from kwsctl.evaluation.streams import Trigger
from kwsctl.progress import Progress, silent
from kwsctl.types import BACKGROUND, RESERVED_LABELS, SILENCE, Clip, Scores


@dataclass(frozen=True)
class _Material:
    """Everything that the network said."""

    clips: tuple[Clip, ...]
    scores: Scores
    heard: HeardClips
    sounds: tuple[Background, ...]


@dataclass(frozen=True)
class _Detections:
    """Operating points: for the budget, and as shipped."""

    budget: BudgetThreshold | None
    at_budget: Detection | None
    as_shipped: Detection | None


def evaluate(
    bundle: Bundle,
    store: ClipStore,
    *,
    generator: np.random.Generator,
    split: str = "test",
    background: Sequence[Path] = (),
    options: EvaluateOptions | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Scores the clips of a split and background audio, and works out all figures.

    Args:
        bundle: the model.
        store: clips; those labelled `_background_` are taken as continuous audio without keywords.
        generator: for the bootstrap over speakers.
        split: which clips.
        background: more audio without keywords: files, or folders of files.
        options: budget, smoothing and so on; defaults if None.
        progress: called with the clips or seconds done, and `scoring=` what they are.

    Returns:
        All figures, with what weakens them.

    Raises:
        InputError: the split has no clip of the model's keywords, or audio cannot be used.
        BundleError: the weights do not fit, or give scores that are not finite.
    """
    options = options or EvaluateOptions()
    trigger = Trigger(options.smoothing_s, options.refractory_s)
    material = _score(bundle, store, split, background, options, progress)
    detections = _detect(bundle, material, trigger, options, generator)
    detection = detections.at_budget or detections.as_shipped
    answers = _answer(bundle, material, detection, generator, options.resamples)
    eer, detection_rate_at_far = error_rates(material.scores, options.far)
    rows = fairness.per_speaker(answers.right, answers.speakers)
    return Evaluation(
        task=bundle.task,
        arch=bundle.arch,
        bundle_sha256=bundle.sha256,
        split=split,
        n=len(answers.right),
        n_excluded=answers.n_excluded,
        n_speakers=len(rows),
        speakers_known=bool(answers.speakers) and None not in answers.speakers,
        accuracy=answers.accuracy,
        ci95=answers.ci95,
        per_label=answers.per_label,
        per_speaker=rows,
        worst_decile=fairness.worst_decile(rows) if len(rows) > 1 else None,
        confusion=answers.confusion,
        eer=eer,
        far=options.far,
        detection_rate_at_far=detection_rate_at_far,
        detection=detection,
        detection_as_shipped=detections.as_shipped,
        budget_per_hour=options.fa_per_hour,
        provable_per_hour=None if detections.budget is None else detections.budget.provable_per_hour,
        warnings=caveats(bundle, store, material.clips, answers, detections.budget, detection),
        scored=material.clips,
        scores=material.scores,
        tradeoff=tradeoff(material.heard, material.sounds, trigger),
    )


def _score(
    bundle: Bundle,
    store: ClipStore,
    split: str,
    background: Sequence[Path],
    options: EvaluateOptions,
    progress: Progress,
) -> _Material:
    """Runs the network over everything, once per kind of figure."""
    indices = _spoken_clips(bundle, store, split)
    model, hop_s, batch_size = bundle.model(), options.hop_s, options.batch_size
    scores = scoring.score_clips(
        bundle, store, indices, model=model, batch_size=batch_size, progress=_told(progress, "clips")
    )
    streams = scoring.score_clips_as_streams(
        bundle,
        store,
        indices,
        hop_s=hop_s,
        model=model,
        batch_size=batch_size,
        progress=_told(progress, "clips as streams"),
    )
    clips = tuple(store.clips[int(index)] for index in indices)
    heard = HeardClips(streams, _keywords_of(clips, bundle), scores.speakers)
    sounds: list[Background] = []
    noises = store.where(split=split, labels=(BACKGROUND,))
    told = _told(progress, "background")
    if len(noises):
        sounds.append(
            backgrounds.from_store(
                bundle, store, noises, hop_s=hop_s, batch_size=batch_size, model=model, progress=told
            )
        )
    sounds += [
        backgrounds.from_path(bundle, path, hop_s=hop_s, batch_size=batch_size, model=model, progress=told)
        for path in background
    ]
    return _Material(clips, scores, heard, tuple(sounds))


def _detect(
    bundle: Bundle,
    material: _Material,
    trigger: Trigger,
    options: EvaluateOptions,
    generator: np.random.Generator,
) -> _Detections:
    """Finds the threshold for the budget, and counts there and at the bundle's own thresholds."""

    def at(threshold: Threshold, origin: str) -> Detection:
        return measure(
            material.heard,
            material.sounds,
            threshold,
            trigger,
            generator,
            threshold_from=origin,
            resamples=options.resamples,
        )

    budget = at_budget = None
    if material.sounds:
        streams = [stream for sound in material.sounds for stream in sound.streams]
        budget = threshold_for_budget(streams, options.fa_per_hour, trigger)
        origin = f"lowest for {options.fa_per_hour:g} per hour on this background"
        at_budget = at(budget.threshold, origin)
    keywords = _keywords(bundle)
    own = {keyword: bundle.thresholds[keyword] for keyword in keywords if keyword in bundle.thresholds}
    as_shipped = at(own, "the bundle") if len(own) == len(keywords) else None
    return _Detections(budget, at_budget, as_shipped)


def _answer(
    bundle: Bundle,
    material: _Material,
    detection: Detection | None,
    generator: np.random.Generator,
    resamples: int,
) -> Answers:
    if bundle.task == "keywords":
        return recognized_words(material.scores, generator, resamples=resamples)
    return detected_words(material.heard, detection)


def _spoken_clips(bundle: Bundle, store: ClipStore, split: str) -> NDArray[np.int64]:
    """Finds the clips to score: all of the split but background."""
    indices = store.where(split=split)
    if not len(indices):
        counts = Counter(clip.split for clip in store.clips)
        there = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise InputError(f"There are no clips in split {split!r}.", f"Choose another with --split: {there}.")
    labels = Counter(store.clips[int(index)].label for index in indices)
    if not _keywords(bundle):
        raise InputError(
            "The model has no keywords: it is an encoder for new words.",
            "Enroll one, then give --user: kwsctl enroll CLIP… --user NAME --keyword WORD",
        )
    if not any(keyword in labels for keyword in _keywords(bundle)):
        raise InputError(
            f"None of the {len(indices)} clips in split {split!r} is of a keyword of the model, "
            f"{_listed(_keywords(bundle))}.",
            f"They are labelled {_listed(list(labels))}.",
        )
    spoken = [index for index in indices if store.clips[int(index)].label != BACKGROUND]
    return np.array(spoken, dtype=np.int64)


def _keywords(bundle: Bundle) -> tuple[str, ...]:
    return tuple(label for label in bundle.labels if label not in RESERVED_LABELS)


def _keywords_of(clips: Sequence[Clip], bundle: Bundle) -> NDArray[np.int64]:
    """Gives the index among the keywords of each clip, or what it is instead."""
    index = {keyword: at for at, keyword in enumerate(_keywords(bundle))} | {SILENCE: SILENT}
    return np.array([index.get(clip.label, OTHER_WORD) for clip in clips], dtype=np.int64)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _told(progress: Progress, what: str) -> Progress:
    """Adds what is being scored to every report of progress."""

    def report(done: int, total: int | None, /, **facts: str | float) -> None:
        progress(done, total, scoring=what, **facts)

    return report
