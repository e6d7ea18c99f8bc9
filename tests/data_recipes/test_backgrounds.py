from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kwsctl.data_recipes import ms_snsd, musan
from kwsctl.errors import InputError

from . import trees


def test_musan_gives_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    trees.musan(tmp_path / "musan")
    found = list(musan.clips(tmp_path, musan.Options(parts=("noise", "music"))))
    assert {clip.path.parent.name for clip in found} == {"free-sound", "fma"}
    assert {(clip.label, clip.speaker) for clip in found} == {("_background_", None)}
    with pytest.raises(InputError, match="no part 'songs'"):
        list(musan.clips(tmp_path, musan.Options(parts=("songs",))))


def test_ms_snsd_leaves_out_test_noise_that_is_also_for_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trees.ms_snsd(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = list(ms_snsd.clips(tmp_path))
    assert [clip.path.name for clip in found if clip.split == "test"] == ["Babble_9.wav"]
    assert "left out 1 test recordings" in caplog.text
    assert sorted(clip.split for clip in found) == ["test", "train", "train", "train", "val"]
