"""What a person sees first: where they are, examples that work, near matches, and no unwanted colour."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kwsctl import home as home_folder
from kwsctl import records
from kwsctl.cli import completion
from kwsctl.cli.app import app, main
from kwsctl.personal import profile
from kwsctl.standing import standing
from tests.personal import people
from tests.test_docs import COMMANDS

ROOT: Any = typer.main.get_command(app)


def kwsctl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "kwsctl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**given, **environment})


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_the_example_of_every_command_parses(name: str, command: Any) -> None:
    found = re.search(r"Example: (`+)(.+?)\1", command.help, re.DOTALL)
    assert found is not None
    words = shlex.split(" ".join(found.group(2).split()))
    assert " ".join(words[: len(name.split())]) == name
    command.make_context(name, words[len(name.split()) :])


def test_alone_it_tells_where_one_is_and_what_comes_next(own_home: Path) -> None:
    assert standing(own_home).next == "kwsctl demo"
    own_home.mkdir()
    model = own_home / "models" / "words.safetensors"
    people.bundle().save(model)
    home_folder.set_current_bundle(own_home, model)
    assert standing(own_home).next.startswith("kwsctl evaluate")
    records.keep(own_home, "evaluate", {})
    assert standing(own_home).next.startswith("kwsctl enroll")
    profile.save(own_home, people.enrolled())
    found = standing(own_home)
    assert found.users == (("anna", 1),)
    assert found.next == "kwsctl adapt --stream RECORDINGS --user anna"
    assert [run.command for run in found.runs] == ["evaluate"]
    (own_home / "models" / "words.resume.safetensors").write_bytes(b"")
    assert standing(own_home).interrupted == ("words",)
    told = kwsctl(KWSCTL_HOME=str(own_home))
    assert told.returncode == 0
    assert "words.safetensors" in told.stdout
    assert "anna (1)" in told.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["export", "--help"]])
def test_narrow_terminals_get_whole_lines(arguments: list[str], own_home: Path) -> None:
    told = kwsctl(*arguments, COLUMNS="50", KWSCTL_HOME=str(own_home))
    assert told.returncode == 0
    assert max(map(len, told.stdout.splitlines())) <= 50


def test_no_color_is_heeded(own_home: Path) -> None:
    coloured = re.compile(r"\x1b\[(?:\d+;)*3\d")
    there = {"FORCE_COLOR": "1", "KWSCTL_HOME": str(own_home), "TERM": "xterm-256color"}
    assert coloured.search(kwsctl(**there).stdout)
    for arguments in ([], ["--help"], ["trian"]):
        told = kwsctl(*arguments, NO_COLOR="1", **there)
        assert not coloured.search(told.stdout + told.stderr)


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["trian"], "train"),
        (["users", "shwo", "anna"], "show"),
        (["users", "show", "ana"], "anna"),
        (["train", "--epocs", "3"], "--epochs"),
        (["listen", "--input", "x.wav", "--model", "MODELS/wrods.safetensors"], "words.safetensors"),
    ],
)
def test_near_matches_are_suggested(
    arguments: list[str], near: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile.save(own_home, people.enrolled())
    people.bundle().save(own_home / "models" / "words.safetensors")
    with pytest.raises(SystemExit) as end:
        main([argument.replace("MODELS", str(own_home / "models")) for argument in arguments])
    assert end.value.code in (1, 2)
    assert near in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["train", "--epochs", "3"], "the same command goes on"), (["doctor"], "begin again: kwsctl doctor")],
)
def test_an_interrupted_command_says_how_to_go_on(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kwsctl.cli.train.home_folder", stop)
    monkeypatch.setattr("kwsctl.diagnosis.diagnose", stop, raising=False)
    monkeypatch.setattr("kwsctl.cli.doctor.home_folder", stop, raising=False)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 130
    assert told in capsys.readouterr().err


def test_the_shell_offers_what_is_there(own_home: Path) -> None:
    profile.save(own_home, people.enrolled())
    assert completion.users("an") == ["anna"]
    assert completion.users("x") == []
    assert completion.recipes("synth") == ["synthetic"]
    assert "bcresnet" in completion.architectures("")
    assert completion.targets("sn") == ["snapdragon"]
    assert {"auto", "head"} <= set(completion.adapters(""))
    assert "mean" in completion.aggregators("")


def test_completion_answers_as_a_shell_asks(own_home: Path) -> None:
    profile.save(own_home, people.enrolled())
    asked = {"_KWSCTL_COMPLETE": "complete_bash", "COMP_WORDS": "kwsctl adapt --user an", "COMP_CWORD": "3"}
    script = "from kwsctl.cli.app import app; app(prog_name='kwsctl')"
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **asked, "KWSCTL_HOME": str(own_home)},
    )
    assert told.stdout.split() == ["anna"]
