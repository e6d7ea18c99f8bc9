"""`kwsctl listen` on the command line: JSON lines, with a person's keywords, from files and stdin."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli.app import main
from tests import toy_people
from tests.toy_people import NEW_WORDS, RATE_HZ


class Stdin:
    """Standard input that holds bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    parts = []
    for word in (NEW_WORDS[0], NEW_WORDS[1], NEW_WORDS[0]):
        parts += [0.005 * draw.normal(size=3 * RATE_HZ), toy_people.say(word, toy_people.PEOPLE[0], 40)]
    path = tmp_path / "room.wav"
    files.write(path, np.concatenate([*parts, 0.005 * draw.normal(size=3 * RATE_HZ)]).astype("f4"), RATE_HZ)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which one person has enrolled a word."""
    model = tmp_path / "encoder.safetensors"
    toy_people.encoder().save(model)
    monkeypatch.setattr("kwsctl.learning.stored_negatives.load", lambda _: toy_people.negatives())
    clips = toy_people.write(tmp_path, NEW_WORDS[0], toy_people.PEOPLE[0], 4)
    folder = tmp_path / "home"
    told = ["--user", "ana", "--keyword", NEW_WORDS[0], "--model", str(model), "--home", str(folder)]
    run("enroll", *map(str, clips), *told, "--set", "far=0.05")
    return folder


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


def test_the_words_of_a_person_are_heard_from_a_file_and_from_stdin(
    home: Path, recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ["listen", "--user", "ana", "--home", str(home), "--set", "smoothing_s=0.1"]
    capsys.readouterr()
    run(*told, "--input", str(recording))
    from_file = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["keyword"] for event in from_file} == {NEW_WORDS[0]}
    assert {event["user"] for event in from_file} == {"ana"}
    times_s = [event["time_s"] for event in from_file]
    assert any(3.0 < t < 5.2 for t in times_s)
    assert any(11.0 < t < 13.2 for t in times_s)
    raw = np.rint(files.read(recording) * 32768).astype("<i2").tobytes()
    monkeypatch.setattr("sys.stdin", Stdin(raw))
    run(*told, "--input", "-", "--json")
    from_stdin = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["time_s"] for e in from_stdin] == times_s
    assert [e["score"] for e in from_stdin] == [e["score"] for e in from_file]


def test_what_is_not_there_is_told_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["listen", "--user", "ana", "--home", str(home), "--input", "nowhere.wav"])
    assert ended.value.code == 2
    assert "nowhere.wav does not exist" in capsys.readouterr().err
