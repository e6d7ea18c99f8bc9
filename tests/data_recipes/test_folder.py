from __future__ import annotations

from pathlib import Path

import pytest

from kwsctl.data import manifest
from kwsctl.data_recipes.folder import Options, clips
from kwsctl.errors import SourceError
from kwsctl.types import Clip

from .trees import say


def facts(found: list[Clip], root: Path) -> set[tuple[str, str, str | None]]:
    return {(clip.path.relative_to(root).as_posix(), clip.label, clip.speaker) for clip in found}


def test_label_folders_name_the_speaker_before_the_underscore(tmp_path: Path) -> None:
    for name in (
        "yes/ann_1.wav",
        "yes/nobody.wav",
        "_unknown_/bob_x_2.wav",
        "_background_/tv/show_1.wav",
        "_silence_/q.wav",
    ):
        say(tmp_path / name)
    (tmp_path / "yes" / "notes.txt").write_text("not audio")
    (tmp_path / "yes" / "._ann_1.wav").write_text("hidden")
    say(tmp_path / ".hidden" / "x_1.wav")
    assert facts(list(clips(tmp_path)), tmp_path) == {
        ("yes/ann_1.wav", "yes", "ann"),
        ("yes/nobody.wav", "yes", None),
        ("_unknown_/bob_x_2.wav", "_unknown_", "bob"),
        ("_background_/tv/show_1.wav", "_background_", None),
        ("_silence_/q.wav", "_silence_", None),
    }  # fmt: skip


def test_speaker_folders(tmp_path: Path) -> None:
    for name in ("ann/yes/1.wav", "ann/_unknown_/2.flac", "bob/yes/1.wav", "_background_/rain.wav"):
        say(tmp_path / name)
    assert facts(list(clips(tmp_path)), tmp_path) == {
        ("ann/yes/1.wav", "yes", "ann"),
        ("ann/_unknown_/2.flac", "_unknown_", "ann"),
        ("bob/yes/1.wav", "yes", "bob"),
        ("_background_/rain.wav", "_background_", None),
    }


def test_a_manifest_wins(tmp_path: Path) -> None:
    say(tmp_path / "yes" / "ann_1.wav")
    expected = [Clip(tmp_path / "yes" / "ann_1.wav", "ja", "anna", "val")]
    manifest.write(tmp_path / "manifest.csv", expected)
    assert list(clips(tmp_path)) == expected


def test_both_layouts_at_once_need_a_word(tmp_path: Path) -> None:
    say(tmp_path / "yes" / "ann_1.wav")
    say(tmp_path / "bob" / "yes" / "1.wav")
    with pytest.raises(SourceError, match=r"both as '.*/yes/ann_1.wav' and as 'bob/yes/1.wav'") as caught:
        list(clips(tmp_path))
    assert "--set layout=" in caught.value.hint
    assert facts(list(clips(tmp_path, Options(layout="label"))), tmp_path) == {
        ("yes/ann_1.wav", "yes", "ann")
    }
    assert facts(list(clips(tmp_path, Options(layout="speaker"))), tmp_path) == {
        ("bob/yes/1.wav", "yes", "bob")
    }


def test_each_speaker_is_in_one_split_and_shares_are_kept(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        for speaker in range(10):
            say(tmp_path / label / f"p{speaker}_1.wav", seconds=0.01)
    found = list(clips(tmp_path, Options(val_share=0.3, test_share=0.2)))
    by_split = {split: {c.speaker for c in found if c.split == split} for split in ("train", "val", "test")}
    assert [len(by_split[split]) for split in ("train", "val", "test")] == [5, 3, 2]
    assert len(set.union(*by_split.values())) == 10
