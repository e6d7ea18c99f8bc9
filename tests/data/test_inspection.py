from __future__ import annotations

from pathlib import Path

import pytest

from kwsctl.data import manifest
from kwsctl.data.inspection import inspect
from kwsctl.errors import ManifestError
from kwsctl.types import Clip
from tests.data_recipes.trees import say


def test_counts_and_names_what_is_wrong(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        say(tmp_path / f"{name}.wav", seconds=2.0)
    (tmp_path / "text.wav").write_text("not audio")
    manifest.write(
        tmp_path / "m.csv",
        [
            Clip(tmp_path / "a.wav", "yes", "ann", "train"),
            Clip(tmp_path / "b.wav", "yes", "bob", "val", 0.5, 1.0),
            Clip(tmp_path / "c.wav", "no", None, "val"),
            Clip(tmp_path / "c.wav", "no", None, "val", 1.5, 1.0),
            Clip(tmp_path / "text.wav", "_background_", None, "train"),
            Clip(tmp_path / "gone.wav", "yes", "ann", "train"),
        ],
    )
    seen: list[int] = []
    found = inspect(tmp_path / "m.csv", lambda done, total, /, **_: seen.append(done))
    assert (found.clips, found.speakers, found.rejected) == (6, 2, 3)
    assert found.hours == pytest.approx((2.0 + 1.0 + 2.0) / 3600)
    assert found.splits["val"] == {"clips": 3, "speakers": 1, "hours": pytest.approx(3.0 / 3600)}
    assert found.labels == {"_background_": 1, "no": 2, "yes": 3}
    assert found.clips_by_speaker == {"": 3, "ann": 2, "bob": 1}
    told = " | ".join(found.problems)
    assert "c.wav ends at 2.000 s, before 2.500 s" in told
    assert "text.wav is not audio" in told
    assert "gone.wav does not exist" in told
    assert found.warnings == (
        "1 label(s) of 'val' are not in 'train': no.",
        "No clip is in the split 'test'.",
        "2 clips of words have no speaker: nobody can tell whether splits share speakers.",
    )
    assert seen[-1] == 6


def test_a_whole_manifest_has_no_problems(tmp_path: Path) -> None:
    clips = []
    for split in ("train", "val", "test"):
        say(tmp_path / f"{split}.wav")
        clips.append(Clip(tmp_path / f"{split}.wav", "yes", split, split))
    manifest.write(tmp_path / "m.csv", clips)
    found = inspect(tmp_path / "m.csv")
    assert found.problems == found.warnings == ()


def test_a_broken_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label\n")
    with pytest.raises(ManifestError, match="no column 'speaker'"):
        inspect(tmp_path / "m.csv")
