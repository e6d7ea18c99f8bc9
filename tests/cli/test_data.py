from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kwsctl.cli.app import main
from kwsctl.data import manifest
from kwsctl.data_recipes import arabic_speech_commands
from kwsctl.data_recipes.speech_commands import Options
from tests.data.loopback import Site, serving
from tests.data_recipes import trees


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1, "one JSON object, nothing else"
    return json.loads(captured.out), " ".join(captured.err.split())


def test_list_names_recipes_and_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "list", "--json") == 0
    listed, _ = printed(capsys)
    by_name = {recipe["name"]: recipe for recipe in listed["recipes"]}
    assert {"folder", "speech_commands", "synthetic", "hey_snips"} <= set(by_name)
    assert by_name["speech_commands"]["licence"] == "CC BY 4.0"
    assert by_name["speech_commands"]["bytes"] == 2_428_923_189
    assert run("data", "list") == 0
    assert "speech_commands" in capsys.readouterr().out


def test_prepare_a_folder_gives_what_train_takes(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.folder(tmp_path / "mine")
    (tmp_path / "mine" / "computer" / "bad_1.wav").write_text("not audio")
    assert run("data", "prepare", "folder", "--root", tmp_path / "mine", "--json") == 0
    made, told = printed(capsys)
    assert {"manifest", "clips", "speakers", "hours", "licence", "rejected"} <= set(made)
    assert made["manifest"] == str(own_home / "data" / "folder" / "manifest.csv")
    assert (made["clips"], made["speakers"], made["rejected"]) == (7, 3, 1)
    assert len(manifest.read(Path(made["manifest"]))) == 8
    assert Path(made["store"]).is_relative_to(own_home / "prepared")
    assert "Licence: yours" in told
    assert "rejected: " in told
    assert "bad_1.wav is not audio" in told


def test_prepare_takes_options_and_another_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.speech_commands(tmp_path / "sc")
    options = tmp_path / "options.toml"
    options.write_text("labels = 35\nversion = 1\n")
    arguments = ("data", "prepare", "speech_commands", "--root", tmp_path / "sc", "--out", tmp_path / "out")
    assert run(*arguments, "--config", options, "--json") == 0
    labels = {clip.label for clip in manifest.read(tmp_path / "out" / "manifest.csv")}
    assert {"bed", "yes", "_background_"} <= labels
    assert run(*arguments, "--config", options, "--set", "labels=12", "--home", tmp_path / "h") == 0
    labels = {clip.label for clip in manifest.read(tmp_path / "out" / "manifest.csv")}
    assert "_unknown_" in labels
    assert "bed" not in labels
    assert list((tmp_path / "h" / "prepared").iterdir())
    assert Options().labels == 12
    capsys.readouterr()
    assert run(*arguments, "--set", "label=12") == 2
    assert "Did you mean 'labels'" in capsys.readouterr().err


def test_prepare_downloads_and_says_what_was_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.arabic_speech_commands(tmp_path / "up")
    body = trees.packed(tmp_path / "up", "a.zip", "arabic-speech-commands-dataset-master/")
    with serving(Site({"/a.zip": body})) as site:
        source = arabic_speech_commands.Source(f"{site.url}/a.zip", None, "CC BY 4.0", "x")
        monkeypatch.setattr(arabic_speech_commands, "SOURCES", (source,))
        assert run("data", "prepare", "arabic_speech_commands", "--json") == 0
    made, told = printed(capsys)
    assert made["clips"] == 13
    assert made["downloads"][0]["verified"] is False
    assert f"was not verified by us; its sha256 is {made['downloads'][0]['sha256']}" in told


def test_prepare_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, told in (
        (("hey_snips",), 1, "cannot be downloaded. Fill in the form"),
        (("heysnips",), 2, "Did you mean 'hey_snips'?"),
        (("folder", "--root", tmp_path / "none"), 2, "is not a folder"),
        (("musan", "--root", tmp_path), 1, "holds no folder with 'music'"),
    ):
        assert run("data", "prepare", *arguments) == code
        captured = capsys.readouterr()
        assert told in " ".join(captured.err.split())
        assert captured.out == ""


def test_check_counts_and_exits_with_2_if_clips_are_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.folder(tmp_path / "mine")
    assert run("data", "prepare", "folder", "--root", tmp_path / "mine", "--out", tmp_path) == 0
    capsys.readouterr()
    assert run("data", "check", tmp_path / "manifest.csv", "--json") == 0
    found, _ = printed(capsys)
    assert {"manifest", "clips", "speakers", "hours", "licence", "rejected"} <= set(found)
    assert found["labels"] == {"_background_": 1, "_unknown_": 3, "computer": 3}
    assert found["problems"] == []
    (tmp_path / "mine" / "computer" / "ann_1.wav").unlink()
    assert run("data", "check", tmp_path / "manifest.csv") == 2
    captured = capsys.readouterr()
    assert "ann_1.wav does not exist" in captured.err
    assert "computer 3" in captured.out


def test_check_names_the_broken_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_text("path,label,speaker,split\na.wav,yes,ann,dev\n")
    assert run("data", "check", tmp_path / "m.csv") == 2
    captured = capsys.readouterr()
    assert "m.csv:2: the split 'dev' is unknown. Did you mean 'val'?" in " ".join(captured.err.split())
    assert captured.out == ""


def test_import_writes_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    trees.say(kaldi / "r1.wav", seconds=2.0)
    (kaldi / "wav.scp").write_text("r1 r1.wav\n")
    (kaldi / "segments").write_text("u1 r1 0.0 0.8\nu2 r1 1.0 1.9\n")
    (kaldi / "text").write_text("u1 hey snips\nu2 and so on\n")
    (kaldi / "utt2spk").write_text("u1 ann\nu2 ann\n")
    out = tmp_path / "out" / "manifest.csv"
    arguments = ("data", "import", "kaldi", kaldi, "--out", out, "--set", 'words=["hey snips=hey_snips"]')
    assert run(*arguments, "--set", "split=train", "--json") == 0
    found, _ = printed(capsys)
    assert found["labels"] == {"_unknown_": 1, "hey_snips": 1}
    assert found["hours"] == pytest.approx(1.7 / 3600)
    assert [(c.label, c.speaker, c.start_s) for c in manifest.read(out)] == [
        ("hey_snips", "ann", 0.0),
        ("_unknown_", "ann", 1.0),
    ]
    assert run("data", "import", "kaldy", kaldi, "--out", out) == 2
    assert "Did you mean 'kaldi'" in capsys.readouterr().err
