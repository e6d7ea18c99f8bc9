"""Chooses the scores from which keywords count as detected, on speakers that were held out."""

from __future__ import annotations

import dataclasses

import numpy as np

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.evaluation.evaluate import evaluate
from kwsctl.evaluation.options import EvaluateOptions
from kwsctl.learning.task import Problem
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import BACKGROUND

AT_MOST_CLIPS = 800
WRONG_WORD_RATE = 0.01


def held_out_thresholds(
    bundle: Bundle, store: ClipStore, problem: Problem, fa_per_hour: float, progress: Progress = silent
) -> dict[str, float]:
    """Finds one threshold for all keywords, the higher of two.

    - the lowest with at most `fa_per_hour` false alarms per hour on held-out background audio;
    - the lowest at which 1 % of the held-out clips of other words set off a keyword, because an hour
      of background may not hold a single word that sounds like the keyword.

    Args:
        bundle: the trained model.
        store: the audio.
        problem: tells what was held out.
        fa_per_hour: budget of false alarms.
        progress: counts clips.

    Returns:
        The threshold of each keyword; empty if nothing was held out that a threshold could rest on.
    """
    held_out = _only_held_out(store, problem)
    if not problem.keywords or not len(held_out.where(split="val", labels=problem.keywords)):
        return {}
    found = evaluate(
        bundle,
        held_out,
        generator=numpy_generator(0, "thresholds"),
        split="val",
        options=EvaluateOptions(fa_per_hour=fa_per_hour, resamples=1),
        progress=progress,
    )
    candidates = []
    if found.detection is not None and isinstance(found.detection.threshold, float):
        candidates.append(found.detection.threshold)
    if len(found.tradeoff.other_peaks):
        candidates.append(float(np.quantile(found.tradeoff.other_peaks, 1 - WRONG_WORD_RATE)))
    if not candidates:
        return {}
    return dict.fromkeys(problem.keywords, min(1.0, max(candidates)))


def _only_held_out(store: ClipStore, problem: Problem) -> ClipStore:
    """Gives a store whose split `val` is what was held out, thinned where it is large."""
    held_out = np.unique(problem.val.clip)
    spoken = np.array([i for i in held_out if store.clips[i].label != BACKGROUND])
    kept = set(spoken[:: max(1, len(spoken) // AT_MOST_CLIPS)])
    kept |= {i for i in held_out if store.clips[i].label == BACKGROUND}
    clips = (
        dataclasses.replace(clip, split="val" if index in kept else "train")
        for index, clip in enumerate(store.clips)
    )
    return dataclasses.replace(store, clips=tuple(clips))
