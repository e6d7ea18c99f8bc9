from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from kwsctl.data_recipes import hey_snips, qualcomm_keyword_speech
from kwsctl.errors import SourceError

from . import trees


def test_hey_snips_reads_the_three_lists(tmp_path: Path) -> None:
    trees.hey_snips(tmp_path)
    assert [(clip.label, clip.speaker, clip.split) for clip in hey_snips.clips(tmp_path)] == [
        ("hey_snips", "0", "train"), ("_unknown_", "0", "train"),
        ("hey_snips", "1", "val"), ("_unknown_", "1", "val"),
        ("hey_snips", "2", "test"), ("_unknown_", "2", "test"),
    ]  # fmt: skip


GOOD = {"id": "x", "is_hotword": 1, "worker_id": "w", "duration": 1.0, "audio_file_path": "audio_files/x.wav"}


@pytest.mark.parametrize(
    "content",
    [
        "{", '{"a": 1}', "[7]", "[null]", json.dumps([GOOD | {"audio_file_path": "../../x.wav"}]),
        json.dumps([GOOD | {"audio_file_path": "/x.wav"}]), json.dumps([GOOD | {"is_hotword": 3}]),
        json.dumps([GOOD | {"is_hotword": "yes"}]), json.dumps([GOOD | {"worker_id": ""}]), "[" * 100_000,
    ],
)  # fmt: skip
def test_hey_snips_refuses_broken_lists(content: str, tmp_path: Path) -> None:
    trees.hey_snips(tmp_path)
    (tmp_path / "dev.json").write_text(content)
    with pytest.raises(SourceError, match=r"dev\.json") as caught:
        list(hey_snips.clips(tmp_path))
    assert "\n" not in str(caught.value)


def test_qualcomm_speakers_are_the_same_under_every_keyword(tmp_path: Path) -> None:
    trees.qualcomm_keyword_speech(tmp_path / "qualcomm_keyword_speech_dataset")
    found = list(qualcomm_keyword_speech.clips(tmp_path))
    assert Counter(clip.label for clip in found) == dict.fromkeys(qualcomm_keyword_speech.KEYWORDS, 5)
    splits = {(clip.speaker, clip.split) for clip in found}
    assert len(splits) == 5
    assert Counter(split for _, split in splits) == {"train": 3, "val": 1, "test": 1}
