"""Writes what a model scored, so that anyone can work out every figure again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from kwsctl import storage
from kwsctl.types import Clip, Scores

COLUMNS = ("path", "label", "speaker", "keyword", "score")


def write_scores(path: Path, clips: Sequence[Clip], scores: Scores) -> None:
    """Writes one row per clip and label of the model, in the order of the clips.

    Nine digits give back each float32 exactly.

    Args:
        path: the CSV file, replaced in one step.
        clips: N, as scored.
        scores: of these clips.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip, values in zip(clips, scores.values, strict=True):
        for keyword, value in zip(scores.labels, values, strict=True):
            writer.writerow((clip.id, clip.label, clip.speaker or "", keyword, f"{value:.9g}"))
    storage.write_text(path, text.getvalue())
