from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kwsctl.data import manifest
from kwsctl.errors import ManifestError
from kwsctl.types import SPLITS, Clip

HEADER = "path,label,speaker,split\n"
SPANS = "path,label,speaker,split,start_s,duration_s\n"
QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# kind: (content, what the message must name, what the hint must say)
BROKEN: dict[str, tuple[str | bytes, str, str]] = {
    "nothing at all": ("", ":1: no column 'path'", "path,label,speaker,split"),
    "only blank lines": ("\n\n \n", "no column 'path'", "first line"),
    "no rows": (HEADER, "no clips", "at least one row"),
    "no header": ("a.wav,yes,ann,train\n", ":1: no column 'path'", "first line must be"),
    "no path column": ("label,speaker,split\nyes,ann,train\n", "no column 'path'", ""),
    "no label column": ("path,speaker,split\na.wav,ann,train\n", "no column 'label'", ""),
    "no speaker column": ("path,label,split\na.wav,yes,train\n", "no column 'speaker'", ""),
    "no split column": ("path,label,speaker\na.wav,yes,ann\n", "no column 'split'", ""),
    "capital column": ("Path,label,speaker,split\na.wav,yes,ann,train\n", "'path'", "Rename 'Path'"),
    "column twice": ("path,label,label,speaker,split\na.wav,y,y,a,train\n", "'label' is there twice", "one"),
    "semicolons": ("path;label;speaker;split\na.wav;yes;ann;train\n", "no column", "by commas"),
    "tabs": ("path\tlabel\tspeaker\tsplit\na.wav\tyes\tann\ttrain\n", "no column", "by commas"),
    "JSON": ('{"path": "a.wav"}\n', ":1:", ""),
    "UTF-16": ((HEADER + "a.wav,yes,ann,train\n").encode("utf-16"), "byte 0xff is not UTF-8", "as UTF-8"),
    "Latin-1": (HEADER.encode() + b"a.wav,yes,ann,train\n\xef.wav,a,b,val\n", ":3: byte 0xef", "UTF-8"),
    "NUL": (HEADER.encode() + b"a.wav,y\0es,ann,train\n", ":2: a NUL", "UTF-8 CSV"),
    "a WAV file": (b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00", ":1: a NUL", "UTF-8 CSV"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "byte 0x8b", "UTF-8"),
    "too few values": (HEADER + "a.wav,yes,ann\n", ":2: 3 values for 4 columns", "commas"),
    "too many values": (HEADER + "a.wav,yes,ann,train,x\n", ":2: 5 values", "Quote"),
    "open quote": (HEADER + '"a.wav,yes,ann,train\nb.wav,yes,ann,train\n', ":2: not CSV", "quote"),
    "text after a quote": (HEADER + 'a.wav,"yes"s,ann,train\n', ":2: not CSV", "doubled"),
    "line break in a label": (HEADER + 'a.wav,"y\nes",ann,train\n', "control character", "one line"),
    "line break in a path": (HEADER + '"a\n.wav",yes,ann,train\n', "control character", "Rename"),
    "endless value": (HEADER + "a" * 200_000 + ",yes,ann,train\n", ":2: not CSV", ""),
    "empty path": (HEADER + ",yes,ann,train\n", ":2: an empty path", "relative"),
    "absolute path": (HEADER + "/etc/passwd,yes,ann,train\n", "'/etc/passwd' is not relative", "folder"),
    "drive": (HEADER + r"C:\a.wav,yes,ann,train" + "\n", "is not relative", "folder"),
    "network share": (HEADER + r"\\host\a.wav,yes,ann,train" + "\n", "is not relative", "folder"),
    "URL": (HEADER + "https://example.org/a.wav,yes,ann,train\n", "is not relative", "folder"),
    "empty label": (HEADER + "a.wav, ,ann,train\n", ":2: an empty label", "_background_"),
    "unknown reserved label": (HEADER + "a.wav,_noise_,ann,train\n", "'_noise_' is reserved", "Reserved are"),
    "near reserved label": (HEADER + "a.wav,_backgroud_,ann,train\n", "reserved", "mean '_background_'"),
    "empty split": (HEADER + "a.wav,yes,ann,\n", ":2: the split '' is unknown", "train, val, test"),
    "validation": (HEADER + "a.wav,yes,ann,validation\n", "'validation'", "Did you mean 'val'"),
    "capital split": (HEADER + "a.wav,yes,ann,Train\n", "'Train'", "Did you mean 'train'"),
    "unknown split": (HEADER + "a.wav,yes,ann,holdout\n", "'holdout'", "Use train, val, test"),
    "second line wrong": (HEADER + "a.wav,yes,ann,train\nb.wav,yes,ann,x\n", ":3: the split", ""),
    "negative start": (SPANS + "a.wav,yes,ann,train,-0.5,1\n", ":2: start_s is '-0.5'", "0 or more"),
    "NaN start": (SPANS + "a.wav,yes,ann,train,nan,1\n", "start_s is 'nan'", "seconds"),
    "endless start": (SPANS + "a.wav,yes,ann,train,inf,1\n", "start_s is 'inf'", "seconds"),
    "worded start": (SPANS + "a.wav,yes,ann,train,one,1\n", "start_s is 'one'", "seconds"),
    "comma decimal": (SPANS + 'a.wav,yes,ann,train,"0,5",1\n', "start_s is '0,5'", "such as 1.5"),
    "zero duration": (SPANS + "a.wav,yes,ann,train,0,0\n", "duration_s is 0", "Leave it empty"),
    "negative duration": (SPANS + "a.wav,yes,ann,train,0,-1\n", "duration_s is '-1'", "seconds"),
    "same clip twice": (HEADER + "a.wav,yes,ann,train\na.wav,no,ann,train\n", ":3: 'a.wav' is already", ""),
    "same clip by detour": (HEADER + "a.wav,yes,ann,train\nb/../a.wav,no,ann,train\n", "line 2", "start_s"),
    "speaker in two splits": (
        HEADER + "a.wav,yes,ann,train\nb.wav,yes,ann,test\nc.wav,yes,bob,val\n",
        "1 speaker(s) in more than one split: 'ann' (test and train)",
        "one split",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_manifests_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    content, told, hint = BROKEN[kind]
    path = tmp_path / "m.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ManifestError) as caught:
        manifest.read(path)
    assert str(path) in caught.value.message
    assert told in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_there_are_enough_broken_kinds() -> None:
    assert len(BROKEN) >= 40


def test_a_missing_or_unreadable_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        manifest.read(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="Is a directory"):
        manifest.read(tmp_path)


def test_reads_what_the_format_allows(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(
        b"\xef\xbb\xbfspeaker,path,notes,label,split,start_s,duration_s\r\n"
        b'ann,"a, b.wav",x, yes ,train,,\r\n'
        b"\r\n"
        b",../n.wav,,_background_,test,2.5,1\r\n"
    )
    first, second = manifest.read(path)
    assert first == Clip(tmp_path / "a, b.wav", "yes", "ann", "train")
    assert second == Clip(tmp_path.parent / "n.wav", "_background_", None, "test", 2.5, 1.0)


def test_background_without_speaker_may_be_in_every_split(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(HEADER + "".join(f"{s}.wav,_background_,,{s}\n" for s in SPLITS))
    assert [clip.speaker for clip in manifest.read(path)] == [None] * 3


def test_many_torn_speakers_are_counted_and_five_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(HEADER + "".join(f"{s}{i}.wav,yes,p{i},{s}\n" for i in range(8) for s in SPLITS[:2]))
    with pytest.raises(ManifestError, match=r"8 speaker\(s\).*'p0'.*'p4' \(train and val\) and 3 more"):
        manifest.read(path)


def test_paths_do_not_depend_on_the_working_folder_or_on_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    audio = tmp_path / "audio" / "a.wav"
    audio.parent.mkdir()
    audio.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    manifest.write(Path("link/m.csv"), [Clip(Path("audio/a.wav"), "yes", "ann")])
    assert Path("link/m.csv").read_text().splitlines()[1] == "../../audio/a.wav,yes,ann,train"
    monkeypatch.chdir("/")
    assert manifest.read(tmp_path / "link" / "m.csv")[0].path == audio


def test_write_refuses_what_read_would_refuse_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("old")
    with pytest.raises(ManifestError, match="more than one split"):
        manifest.write(path, [Clip(tmp_path / f"{s}.wav", "yes", "ann", s) for s in ("train", "test")])
    with pytest.raises(ManifestError, match="not UTF-8"):
        manifest.write(path, [Clip(tmp_path / "na\udcefve.wav", "yes")])
    assert path.read_text() == "old"


words = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=12
).filter(
    lambda text: not text.startswith(("_", "/", "\\")) and text not in (".", "..") and text.strip() == text
)
names = words.filter(lambda text: "/" not in text and ":" not in text)


@st.composite
def clip_lists(draw: st.DrawFn, folder: Path) -> list[Clip]:
    files = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    splits: dict[str | None, str] = {}
    clips = []
    for name in files:
        speaker = draw(st.none() | names)
        split = (
            draw(st.sampled_from(SPLITS))
            if speaker is None
            else splits.setdefault(speaker, draw(st.sampled_from(SPLITS)))
        )
        start_s = draw(st.floats(0, 1e6))
        duration_s = draw(st.none() | st.floats(1e-6, 1e6))
        clips.append(Clip(folder / "audio" / name, draw(words), speaker, split, start_s, duration_s))
    return clips


@QUIET
@given(data=st.data())
def test_written_manifests_read_back_the_same(data: st.DataObject, tmp_path: Path) -> None:
    clips = data.draw(clip_lists(tmp_path))
    manifest.write(tmp_path / "m.csv", clips)
    assert manifest.read(tmp_path / "m.csv") == clips


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        clips = manifest.read(path)
    except ManifestError as error:
        assert "\n" not in str(error)
        assert str(path) in error.message
        assert error.hint
    else:
        assert clips
        for clip in clips:
            assert clip.label
            assert clip.split in SPLITS
            assert clip.start_s >= 0
            assert clip.duration_s is None or clip.duration_s > 0


@QUIET
@given(content=st.binary(max_size=300))
@example(content=b"path,label,speaker,split\n\x85,a,b,train\n")
def test_binary_junk_gives_clips_or_one_line(content: bytes, tmp_path: Path) -> None:
    read_or_refuse(tmp_path / "m.csv", content)


STRANGE = (
    *("a.wav", "../b.wav", "/abs.wav", "C:\\x", "", "yes", "_unknown_", "_x_", "train", "val", "Test"),
    *(
        "0",
        "-1",
        "nan",
        "1e999",
        "0x10",
        "1_0",
        "\u0663",
        '"',
        "a,b",
        "\n",
        "\r",
        "\0",
        "\u2028",
        "\x85",
        "\ufeff",
    ),
)
cells = st.sampled_from(STRANGE) | st.text(max_size=8)
columns = st.sampled_from(
    [*manifest.REQUIRED_COLUMNS, *manifest.SPAN_COLUMNS, "notes", "Path", " label ", ""]
)


@QUIET
@given(
    header=st.one_of(
        st.permutations([*manifest.REQUIRED_COLUMNS, *manifest.SPAN_COLUMNS]), st.lists(columns, max_size=8)
    ),
    rows=st.lists(st.lists(cells, min_size=0, max_size=8), max_size=5),
    even=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_strange_tables_give_clips_or_one_line(
    header: list[str], rows: list[list[str]], even: bool, quoting: int, tmp_path: Path
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting)  # type: ignore[arg-type]
    if even:
        rows = [(row * 8)[: len(header)] for row in rows if row]
    writer.writerows([header, *rows])
    read_or_refuse(tmp_path / "m.csv", text.getvalue().encode("utf-8", "surrogatepass"))


@QUIET
@given(
    at=st.integers(0, 200),
    byte=st.integers(0, 255),
    cut=st.integers(0, 200),
)
def test_damaged_bytes_give_clips_or_one_line(at: int, byte: int, cut: int, tmp_path: Path) -> None:
    content = bytearray((SPANS + "a.wav,yes,ann,train,0,1\nb.wav,no,bob,val,1.5,\n").encode())
    content[at % len(content)] = byte
    read_or_refuse(tmp_path / "m.csv", bytes(content[: len(content) - cut % 60]))


def test_the_real_corpora_read(real_data: Path) -> None:
    clips = manifest.read(real_data / "arabic_speech_commands" / "manifest.csv")
    assert len(clips) == 9600
    assert len({clip.label for clip in clips}) == 40
    assert all(clip.path.is_file() for clip in clips[::97])
