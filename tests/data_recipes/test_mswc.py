from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest

from kwsctl.data_recipes.mswc import Options, clips, sources
from kwsctl.errors import InputError, SourceError

from . import trees

HEADER = "SET,LINK,WORD,VALID,SPEAKER,GENDER\n"


def listed(root: Path, *rows: str) -> Path:
    (root / "en" / "clips").mkdir(parents=True, exist_ok=True)
    (root / "en_splits.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return root


def test_every_word_is_a_label_unless_words_are_chosen(tmp_path: Path) -> None:
    trees.mswc(tmp_path)
    assert Counter(clip.label for clip in clips(tmp_path)) == {"hello": 5, "world": 5, "über": 5}
    some = list(clips(tmp_path, Options(words=("hello",), unknown_share=1.0)))
    assert Counter(clip.label for clip in some) == {"hello": 5, "_unknown_": 5}
    assert {clip.path.parent.name for clip in some if clip.label == "_unknown_"} == {"world", "über"}


def test_the_folder_of_the_language_may_be_given(tmp_path: Path) -> None:
    trees.mswc(tmp_path)
    (tmp_path / "en_splits.csv").rename(tmp_path / "en" / "en_splits.csv")
    assert len(list(clips(tmp_path / "en"))) == 15


def test_a_speaker_keeps_the_split_with_most_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed(
        tmp_path,
        *(f"TRAIN,a/{i}.opus,a,True,often,NAN" for i in range(3)),
        "TEST,a/9.opus,a,True,often,NAN",
        "TRAIN,a/10.opus,a,True,tie,NAN",
        "TEST,a/11.opus,a,True,tie,NAN",
        "TRAIN,a/12.opus,a,True,NA,NAN",
        "DEV,a/13.opus,a,True,NA,NAN",
    )
    with caplog.at_level(logging.WARNING):
        found = list(clips(tmp_path))
    assert [(clip.speaker, clip.split) for clip in found] == [
        *[("often", "train")] * 3, ("tie", "test"), (None, "train"), (None, "val"),
    ]  # fmt: skip
    assert "left out 2 of 8 clips" in caplog.text


def test_clips_that_the_publisher_found_invalid_are_left_out(tmp_path: Path) -> None:
    listed(tmp_path, "TRAIN,a/1.opus,a,True,x,NAN", "TRAIN,a/2.opus,a,False,NA,NAN")
    assert [clip.path.name for clip in clips(tmp_path)] == ["1.opus"]


@pytest.mark.parametrize(
    "row",
    [
        "TRAIN,../x.opus,a,True,x,NAN",
        "TRAIN,/x.opus,a,True,x,NAN",
        "OTHER,a/1.opus,a,True,x,NAN",
        "TRAIN,a/1.opus,,True,x,NAN",
    ],
)
def test_broken_rows_are_refused(row: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"en_splits\.csv:2: a broken line"):
        list(clips(listed(tmp_path, row)))


def test_another_table_is_refused(tmp_path: Path) -> None:
    listed(tmp_path)
    (tmp_path / "en_splits.csv").write_text("LINK,WORD\n")
    with pytest.raises(SourceError, match="no column 'SET'"):
        list(clips(tmp_path))


def test_sources_follow_the_language() -> None:
    assert [source.name for source in sources(Options(language="zh-CN"))] == [
        "splits-zh-CN.tar.gz",
        "audio-zh-CN.tar.gz",
    ]
    with pytest.raises(InputError, match="no code of a language"):
        sources(Options(language="../en"))
