from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kwsctl.data.imports import lhotse
from kwsctl.data.imports._labelling import Options
from kwsctl.errors import InputError, KwsctlError, ManifestError
from kwsctl.types import Clip

TRAIN = Options(split="train")


def recording(**fields: Any) -> dict[str, Any]:
    whole = {
        "id": "rec-1",
        "sources": [{"type": "file", "channels": [0], "source": "audio/one.wav"}],
        "sampling_rate": 16000,
        "num_samples": 160000,
        "duration": 10.0,
        "channel_ids": [0],
    }
    return whole | fields


def supervision(**fields: Any) -> dict[str, Any]:
    whole = {
        "id": "sup-1",
        "recording_id": "rec-1",
        "start": 0.5,
        "duration": 1.25,
        "channel": 0,
        "text": "Hey  Snips",
        "language": "English",
        "speaker": "ann",
    }
    return whole | fields


def cut(**fields: Any) -> dict[str, Any]:
    whole = {
        "id": "cut-1",
        "start": 2.0,
        "duration": 4.0,
        "channel": 0,
        "supervisions": [supervision()],
        "recording": recording(),
        "type": "MonoCut",
    }
    return whole | fields


def cutset(folder: Path, *cuts: object, name: str = "cuts.jsonl") -> Path:
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in cuts)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_each_supervision_is_a_clip_and_silence_is_background(name: str, tmp_path: Path) -> None:
    path = cutset(
        tmp_path,
        cut(supervisions=[supervision(), supervision(start=3.0, text="go", speaker="bob", duration=0.5)]),
        cut(id="cut-2", supervisions=[], start=0, duration=2),
        name=name,
    )
    audio = tmp_path / "audio" / "one.wav"
    assert lhotse.clips(path, TRAIN) == [
        Clip(audio, "hey snips", "ann", "train", 2.5, 1.25),
        Clip(audio, "go", "bob", "train", 5.0, 0.5),
        Clip(audio, "_background_", None, "train", 0.0, 2.0),
    ]


def test_a_supervision_is_cut_at_the_borders_of_its_cut(tmp_path: Path) -> None:
    path = cutset(tmp_path, cut(start=0.0, supervisions=[supervision(start=-0.5, duration=9.0)]))
    assert [(c.start_s, c.duration_s) for c in lhotse.clips(path, TRAIN)] == [(0.0, 4.0)]


def test_words_become_labels_and_the_rest_other(tmp_path: Path) -> None:
    texts = ("hey SNIPS", "stop", "something else", "")
    path = cutset(
        tmp_path, *(cut(start=float(i), supervisions=[supervision(text=t)]) for i, t in enumerate(texts))
    )
    words = ("Hey Snips=hey_snips", "stop")
    labels = [clip.label for clip in lhotse.clips(path, Options(words=words, split="val"))]
    assert labels == ["hey_snips", "stop", "_unknown_", "_background_"]
    without = lhotse.clips(path, Options(words=words, other="", split="val"))
    assert [clip.label for clip in without] == ["hey_snips", "stop", "_background_"]
    assert {clip.split for clip in without} == {"val"}


def test_speakers_are_shared_out(tmp_path: Path) -> None:
    cuts = [cut(start=i / 10, supervisions=[supervision(speaker=f"p{i % 10}")]) for i in range(30)]
    found = lhotse.clips(cutset(tmp_path, *cuts), Options(val_share=0.2, test_share=0.1))
    by_split = {split: {c.speaker for c in found if c.split == split} for split in ("train", "val", "test")}
    assert [len(by_split[split]) for split in ("train", "val", "test")] == [7, 2, 1]


def test_files_of_single_channels_are_told_apart(tmp_path: Path) -> None:
    two = recording(
        sources=[
            {"type": "file", "channels": [0], "source": "/far/left.wav"},
            {"type": "file", "channels": [1], "source": "/far/right.wav"},
        ]
    )
    path = cutset(tmp_path, cut(recording=two, channel=1))
    assert lhotse.clips(path, TRAIN)[0].path == Path("/far/right.wav")


def test_all_channels_of_a_file_are_taken(tmp_path: Path) -> None:
    both = recording(sources=[{"type": "file", "channels": [0, 1], "source": "a.wav"}])
    path = cutset(tmp_path, cut(recording=both, channel=[0, 1], type="MultiCut"))
    assert lhotse.clips(path, TRAIN)[0].path == tmp_path / "a.wav"


def source(**fields: Any) -> dict[str, Any]:
    return recording(sources=[{"type": "file", "channels": [0], "source": "a.wav"} | fields])


BROKEN: dict[str, tuple[object, str]] = {
    "not an object": ([1, 2], "not a cut"),
    "a number": (7, "not a cut"),
    "no start": ({k: v for k, v in cut().items() if k != "start"}, "not a cut, KeyError"),
    "start of text": (cut(start="2"), "start is '2'"),
    "negative start": (cut(start=-1), "start is '-1'"),
    "NaN duration": (cut(duration=float("nan")), "duration is 'nan'"),
    "endless duration": (cut(duration=float("inf")), "duration is 'inf'"),
    "true duration": (cut(duration=True), "duration is 'True'"),
    "no recording": ({k: v for k, v in cut().items() if k != "recording"}, "has no recording"),
    "recording by name": (cut(recording="rec-1"), "has no recording"),
    "no sources": (cut(recording={"id": "x"}), "not a cut, KeyError"),
    "empty sources": (cut(recording=recording(sources=[])), "no file holds channel [0]"),
    "a command": (
        cut(recording=source(type="command", source="rm -rf /")),
        "type 'command', which is neither",
    ),
    "a URL": (cut(recording=source(type="url", source="https://x/a.wav")), "type 'url'"),
    "in memory": (cut(recording=source(type="memory", source="UklGRg==")), "type 'memory'"),
    "perturbed": (cut(recording=recording(transforms=[{"name": "Speed"}])), "perturbed"),
    "a mixture": (cut(type="MixedCut", tracks=[]), "type 'MixedCut'"),
    "padding": (cut(type="PaddingCut"), "type 'PaddingCut'"),
    "one channel of two": (cut(recording=source(channels=[0, 1])), "channels [0] of a file with [0, 1]"),
    "another channel": (cut(channel=3), "no file holds channel [3]"),
    "supervision without length": (cut(supervisions=[supervision(duration=0)]), "of no length"),
    "supervision beyond the cut": (cut(supervisions=[supervision(start=9)]), "of no length"),
    "supervision without start": (cut(supervisions=[{"text": "x"}]), "not a cut"),
    "supervisions of text": (cut(supervisions="none"), "not a cut"),
    "a text that is a number": (cut(supervisions=[supervision(text=5)]), "text is '5'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_cuts_are_refused_with_their_line(kind: str, tmp_path: Path) -> None:
    content, told = BROKEN[kind]
    path = cutset(tmp_path, cut(), content)
    with pytest.raises(ManifestError) as caught:
        lhotse.clips(path, TRAIN)
    assert f"{path}:2: " in caught.value.message
    assert told in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


FILES: dict[str, tuple[bytes, str]] = {
    "no cuts": (b"\n\n", "None of the texts"),
    "not JSON": (b"cut-1 2.0\n", ":1: 'cut-1 2.0' is not JSON"),
    "cut off JSON": (b'{"id": "cut-1", "start"', "is not JSON"),
    "deep JSON": (b"[" * 100_000, "is not JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "not UTF-8"),
    "cut off gzip": (gzip.compress(json.dumps(cut()).encode())[:-9], "is damaged"),
    "damaged gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "is damaged"),
}


@pytest.mark.parametrize("kind", FILES)
def test_broken_files_are_refused(kind: str, tmp_path: Path) -> None:
    content, told = FILES[kind]
    (tmp_path / "cuts.jsonl").write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        lhotse.clips(tmp_path / "cuts.jsonl", TRAIN)
    assert told in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_word_twice_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="Cannot read"):
        lhotse.clips(tmp_path / "none.jsonl", TRAIN)
    with pytest.raises(InputError, match="'Go ' twice"):
        lhotse.clips(cutset(tmp_path, cut()), Options(words=("go", "Go =x")))
    with pytest.raises(ManifestError, match="None of the texts"):
        lhotse.clips(cutset(tmp_path, cut()), Options(words=("go",), other=""))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**400), 10**400) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_field_may_be_anything(data: st.DataObject, tmp_path: Path) -> None:
    value = data.draw(json_values)
    where = data.draw(st.sampled_from(["cut", "recording", "source", "supervision"]))
    broken: Any
    if where == "cut":
        broken = cut(**{data.draw(st.sampled_from(sorted(cut()))): value})
    elif where == "recording":
        broken = cut(recording=recording(**{data.draw(st.sampled_from(sorted(recording()))): value}))
    elif where == "source":
        broken = cut(recording=source(**{data.draw(st.sampled_from(["type", "channels", "source"])): value}))
    else:
        key = data.draw(st.sampled_from(sorted(supervision())))
        broken = cut(supervisions=[supervision(**{key: value})])
    try:
        lhotse.clips(cutset(tmp_path, broken), TRAIN)
    except KwsctlError as error:
        assert "\n" not in str(error)
