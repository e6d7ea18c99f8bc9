"""The command line as a whole: errors in one line, exit codes, JSON on stdout only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.text import Text

from kwsctl.cli.app import app, main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    code = end.value.code
    return code if isinstance(code, int) else 0, out, err


def test_an_error_is_one_line_with_the_value_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "train", "--set", "epoch=3")
    assert code == 2
    assert out == ""
    assert err.strip() == "error: Unknown option 'epoch'. " + err.strip().split("'epoch'. ")[1]
    assert "Did you mean 'epochs'?" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    [
        "adapt --user ana --stream FILE",
        "bench continual --data FILE",
        "bench export --data FILE",
        "bench federated --data FILE",
        "bench few-shot --data FILE",
        "bench invertible --data FILE",
        "bench promises --data FILE",
        "bench quantized-training --data FILE",
        "data prepare synthetic",
        "enroll FILE --user ana --keyword word",
        "export --target onnx --out FILE",
        "listen --input FILE",
    ],
)
def test_a_seed_that_is_set_among_the_options_is_heeded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").touch()
    asked = [str(tmp_path / "file") if part == "FILE" else part for part in command.split()]
    code, _, err = run(capsys, *asked, "--set", "seed='one'", "--home", str(tmp_path))
    assert code == 2
    assert err.strip() == "error: Option seed = 'one' has the wrong type. Expected int."
    # A flag goes before: what is wrong then is the next option only.
    asked += ["--set", "seed='one'", "--set", "nothing=1", "--seed", "1", "--home", str(tmp_path)]
    assert run(capsys, *asked)[2].startswith("error: Unknown option 'nothing'.")


def test_debug_shows_the_traceback() -> None:
    arguments = [sys.executable, "-m", "kwsctl", "--debug", "train", "--set", "epoch=3"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--epocs", "3"], ["train", "--epochs", "many"]])
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["data"], ["users"], ["bench"]])
def test_no_command_shows_the_help_page_and_no_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert "Usage: kwsctl" in out + err
    assert "error" not in err


def test_a_wrong_architecture_suggests_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = run(capsys, "train", "--data", str(tmp_path / "manifest.csv"), "--arch", "bcresnt")
    assert code == 2
    assert "No models named 'bcresnt'. Did you mean 'bcresnet'?" in err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, "kwsctl 0.1.0\n")


def test_doctor_finds_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--json")
    facts = json.loads(out)
    found = {finding["name"]: finding for finding in facts["findings"]}
    assert found["torch"]["state"] == found["torchaudio"]["state"] == found["soundfile"]["state"] == "works"
    assert facts["healthy"] == all(f["state"] != "broken" for f in facts["findings"])
    assert code == (0 if facts["healthy"] else 1)


def test_doctor_names_the_remedy_for_a_home_it_cannot_write(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, out, _ = run(capsys, "doctor", "--json", "--home", str(tmp_path / "file"))
    home = next(f for f in json.loads(out)["findings"] if f["name"] == "home")
    assert code == 1
    assert home["state"] == "broken"
    assert home["remedy"] == "Set KWSCTL_HOME to a folder you can write to."


def commands_below(command: Any) -> Iterator[Any]:
    """Gives a command and all below it."""
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from commands_below(one)


def test_no_help_text_has_brackets_that_a_terminal_would_take_for_a_style() -> None:
    texts = [
        (command.name, getattr(parameter, "help", None) or "")
        for command in commands_below(typer.main.get_command(app))
        for parameter in command.params
    ]
    assert len(texts) > 200
    assert not [found for found in texts if Text.from_markup(found[1]).plain != found[1]]
