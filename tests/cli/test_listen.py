"""`kwsctl listen` and `kwsctl adapt` on the command line: JSON lines, from files and from stdin."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli.app import main
from tests import real_people
from tests.real_people import KEYWORD


class Stdin:
    """Standard input that holds bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def home(tmp_path: Path, real_data: Path) -> Path:
    """A home in which one person has enrolled a word, with a day of theirs beside it."""
    clips, _, _ = real_people.recorded(tmp_path, real_people.store(real_data))
    folder = tmp_path / "home"
    told = ["--user", "ana", "--keyword", KEYWORD, "--method", "head", "--home", str(folder)]
    run("enroll", *map(str, clips), *told)
    return folder


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


def test_the_words_of_a_person_are_heard_from_a_file_and_from_stdin_and_adapted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    day = tmp_path / "day.wav"
    told = ["--user", "ana", "--home", str(home)]
    capsys.readouterr()
    run("listen", *told, "--input", str(day))
    from_file = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(from_file) >= 3
    assert {event["keyword"] for event in from_file} == {KEYWORD}
    assert {event["user"] for event in from_file} == {"ana"}
    raw = np.rint(files.read(day) * 32768).astype("<i2").tobytes()
    monkeypatch.setattr("sys.stdin", Stdin(raw))
    run("listen", *told, "--input", "-", "--json")
    from_stdin = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told_of = [(event["time_s"], event["score"]) for event in from_file]
    assert [(event["time_s"], event["score"]) for event in from_stdin] == told_of
    run("adapt", *told, "--stream", str(day), "--json", "--max-hours", "0.006", "--set", "every=2")
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] == pytest.approx(21.6)
    assert found["positives"] >= 1
    assert found["canary_after"]["false_alarms"] <= 0.01
    assert Path(found["ledger"]).is_file()


def test_what_is_not_there_is_told_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["listen", "--user", "ana", "--home", str(home), "--input", "nowhere.wav"])
    assert ended.value.code == 2
    assert "nowhere.wav does not exist" in capsys.readouterr().err
