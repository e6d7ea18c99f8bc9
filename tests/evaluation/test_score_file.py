from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from kwsctl.evaluation import scoring
from kwsctl.evaluation.score_file import write_scores

from .tones import store_of, tone, tone_bundle


def test_scores_can_be_read_back_exactly(tmp_path: Path) -> None:
    words = ["low", "high", "strange"]
    store = store_of(*((word, "ann" if word == "low" else None, tone(word, level=0.01)) for word in words))
    scores = scoring.score_clips(tone_bundle(("low", "high")), store, [2, 0, 1])
    write_scores(tmp_path / "scores.csv", [store.clips[i] for i in (2, 0, 1)], scores)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "speaker", "keyword", "score"]
    assert [(row["label"], row["speaker"], row["keyword"]) for row in rows] == [
        ("strange", "", "low"), ("strange", "", "high"), ("low", "ann", "low"),
        ("low", "ann", "high"), ("high", "", "low"), ("high", "", "high"),
    ]  # fmt: skip
    assert rows[2]["path"] == str(store.clips[0].path)
    read = np.array([row["score"] for row in rows], dtype=np.float32).reshape(3, 2)
    assert read.tolist() == scores.values.tolist()
