from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kwsctl.data import manifest
from kwsctl.data.prepare import prepare
from kwsctl.data.sources import Source
from kwsctl.data_recipes import speech_commands
from kwsctl.data_recipes.speech_commands import KEYWORDS, SOURCES, Options, clips, sources
from kwsctl.errors import SourceError
from kwsctl.types import Clip
from tests.data.loopback import Site, serving

from . import trees


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.speech_commands(tmp_path)
    return tmp_path


def spans(found: list[Clip], label: str, split: str) -> list[tuple[float, float]]:
    of = [clip for clip in found if clip.label == label and clip.split == split]
    return [(clip.start_s, clip.start_s + (clip.duration_s or 20.0 - clip.start_s)) for clip in of]


def test_thirty_five_labels_follow_the_official_lists(root: Path) -> None:
    found = list(clips(root, Options(labels=35)))
    words = [clip for clip in found if clip.label != "_background_"]
    assert Counter(clip.label for clip in words) == dict.fromkeys((*KEYWORDS, "bed", "cat"), 5)
    assert {clip.speaker: clip.split for clip in words} == {
        "0a7c2a8d": "train", "ffd2ba2f": "train", "aabbccdd": "train", "11112222": "val", "33334444": "test",
    }  # fmt: skip


def test_twelve_labels_have_a_tenth_of_unknown_and_silence(root: Path) -> None:
    found = list(clips(root, Options(labels=12, unknown_share=0.1, silence_share=0.2)))
    for split, speakers in (("train", 3), ("val", 1), ("test", 1)):
        count = Counter(clip.label for clip in found if clip.split == split)
        assert {label: n for label, n in count.items() if label in KEYWORDS} == dict.fromkeys(
            KEYWORDS, speakers
        )
        assert count["_unknown_"] == round(0.1 * 10 * speakers)
        assert count["_silence_"] == round(0.2 * 10 * speakers)
    assert {clip.path.parent.name for clip in found if clip.label == "_unknown_"} <= {"bed", "cat"}
    assert all(clip.speaker for clip in found if clip.label == "_unknown_")
    manifest.check_speakers(found, "speech_commands")


def test_no_noise_is_in_two_splits(root: Path) -> None:
    found = list(clips(root, Options(silence_share=0.5)))
    borders = {"train": (0.0, 16.0), "val": (16.0, 18.0), "test": (18.0, 20.0)}
    for split, (begin, end) in borders.items():
        for label in ("_silence_", "_background_"):
            inside = spans(found, label, split)
            assert inside
            assert all(begin - 1e-3 <= a < b <= end + 1e-3 for a, b in inside)
    assert all(b - a == pytest.approx(1.0) for a, b in spans(found, "_silence_", "train"))


def test_the_versions_have_their_archives() -> None:
    assert sources(Options(version=1)) == SOURCES[:1]
    assert sources(Options(version=2)) == SOURCES[1:]
    assert all(source.sha256 and source.bytes for source in SOURCES)


def test_lists_without_words_are_refused(tmp_path: Path) -> None:
    for name in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(SourceError, match="has no words"):
        list(clips(tmp_path))


def test_two_versions_in_one_place_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, words in ((1, ("yes", "bed")), (2, ("yes", "bed", "visual"))):
        root = tmp_path / f"v{version}"
        for word in words:
            trees.say(root / word / "0a7c2a8d_nohash_0.wav")
        for name in ("validation_list.txt", "testing_list.txt"):
            (root / name).write_text("")
    with serving(Site()) as site:
        local = []
        for version in (1, 2):
            name = f"/speech_commands_v0.0{version}.tar.gz"
            site.files[name] = trees.packed(tmp_path / f"v{version}", name, "./")
            local.append(Source(site.url + name, None, "CC BY 4.0", "x"))
        monkeypatch.setattr(speech_commands, "SOURCES", tuple(local))
        for version, count in ((1, 2), (2, 3), (1, 2)):
            options = [f"version={version}", "labels=35"]
            made = prepare("speech_commands", tmp_path / "home", assignments=options)
            assert made.clips == count
        assert len(site.asked) == 2
