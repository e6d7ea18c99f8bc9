"""Evaluations of made-up scores, for tables and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kwsctl.evaluation.answers import detected_words, error_rates, recognized_words
from kwsctl.evaluation.fairness import per_speaker, worst_decile
from kwsctl.evaluation.operating_point import Background, HeardClips, measure, tradeoff
from kwsctl.evaluation.results import Evaluation
from kwsctl.evaluation.streams import ScoreStream, Trigger
from kwsctl.types import Clip, Scores

WORDS = ("stop", "go", "[left]")


def evaluation(
    words: tuple[str, ...] = WORDS, *, background: int = 1, wake: bool = False, perfect: bool = False
) -> Evaluation:
    """Scores 8 clips per word by 4 speakers."""
    draws, trigger = np.random.default_rng(0), Trigger()
    target = np.repeat(np.arange(len(words)), 8)
    values = (0.1 if perfect else 0.6) * draws.random((len(target), len(words))).astype(np.float32)
    values[np.arange(len(target)), target] = 0.9 if perfect else draws.uniform(0.1, 1.0, len(target))
    labels = words[:1] if wake else words
    values, target = values[:, : len(labels)], np.where(target < len(labels), target, -1)
    clips = tuple(Clip(Path(f"{i}.wav"), words[i // 8], f"s{i % 4}") for i in range(len(target)))
    speakers = [clip.speaker for clip in clips]
    scores = Scores(labels, values, target, [clip.id for clip in clips], speakers, float(len(clips)))
    heard = HeardClips([stream(labels, row[None].repeat(5, 0)) for row in values], target, speakers)
    sounds = [
        Background(
            f"/noise/source{n}", [stream(labels, draws.random((6000, len(labels))).astype(np.float32))]
        )
        for n in range(background)
    ]
    detection = measure(heard, sounds, 0.6, trigger, draws, threshold_from="a test") if background else None
    answers = detected_words(heard, detection) if wake else recognized_words(scores, draws)
    rows = per_speaker(answers.right, answers.speakers)
    eer, at_far = error_rates(scores, 0.01)
    return Evaluation(
        task="wake" if wake else "keywords", arch="bcresnet", bundle_sha256="0123456789abcdef", split="test",
        n=len(answers.right), n_excluded=0, n_speakers=len(rows), speakers_known=True,
        accuracy=answers.accuracy, ci95=answers.ci95, per_label=answers.per_label, per_speaker=rows,
        worst_decile=worst_decile(rows) if rows else None, confusion=answers.confusion, eer=eer, far=0.01,
        detection_rate_at_far=at_far, detection=detection, detection_as_shipped=None, budget_per_hour=0.5,
        provable_per_hour=None, warnings=(), scored=clips, scores=scores,
        tradeoff=tradeoff(heard, sounds, trigger),
    )  # fmt: skip


def stream(labels: tuple[str, ...], values: np.ndarray) -> ScoreStream:
    times_s = 1.0 + 0.1 * np.arange(len(values))
    return ScoreStream(labels, values, times_s, 0.1, float(times_s[-1]))
