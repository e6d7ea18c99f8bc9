from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kwsctl.data_recipes.arabic_speech_commands import clips
from kwsctl.errors import SourceError

from . import trees


def test_splits_and_speakers_are_the_publishers(tmp_path: Path) -> None:
    trees.arabic_speech_commands(tmp_path)
    found = list(clips(tmp_path))
    words = [clip for clip in found if clip.label != "_background_"]
    assert Counter(clip.label for clip in words) == {"backward": 5, "zoom_in": 5}
    assert {(clip.speaker, clip.split) for clip in words} == {
        ("00000001", "train"), ("00000002", "train"), ("00000003", "train"),
        ("00000004", "val"), ("00000005", "test"),
    }  # fmt: skip
    assert {clip.path.name for clip in found if clip.label == "_background_"} == {
        "cafe.wav",
        "rain.wav",
        "street.wav",
    }


@pytest.mark.parametrize(
    "row",
    [
        "../../etc/passwd_1.wav,yes",
        "/etc/passwd_1.wav,yes",
        "dataset/yes/1.wav,yes",
        "dataset/yes/1_NO_1.wav,",
        ",",
    ],
)
def test_odd_rows_are_refused(row: str, tmp_path: Path) -> None:
    trees.arabic_speech_commands(tmp_path)
    (tmp_path / "val.csv").write_text(f"file,class\n{row}\n")
    with pytest.raises(SourceError, match=r"val\.csv has the line"):
        list(clips(tmp_path))


def test_the_real_corpus_is_read_from_its_manifest(real_data: Path) -> None:
    found = list(clips(real_data / "arabic_speech_commands"))
    assert len(found) == 9600
    assert {split: len({c.speaker for c in found if c.split == split}) for split in ("train", "val")} == {
        "train": 18,
        "val": 6,
    }
