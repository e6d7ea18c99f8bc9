"""`kwsctl listen` and `kwsctl adapt` on the command line: JSON lines, from files and from stdin."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli import meter
from kwsctl.cli.app import main
from kwsctl.streaming.listen import Level
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
    told_to = tmp_path / "told.jsonl"
    command = shlex.join(["sh", "-c", f"cat >> {shlex.quote(str(told_to))}"])
    run("listen", *told, "--input", str(day), "--runtime", "torch", "--exec", command)
    printed = capsys.readouterr()
    by_torch = [json.loads(line) for line in printed.out.splitlines()]
    assert [event["keyword"] for event in by_torch] == [event["keyword"] for event in from_file]
    np.testing.assert_allclose([e["time_s"] for e in by_torch], [e["time_s"] for e in from_file], atol=0.081)
    assert [json.loads(line) for line in told_to.read_text().splitlines()] == by_torch
    assert f"--exec ran {len(by_torch)} times" in printed.err
    run(
        "adapt",
        *told,
        "--stream",
        str(day),
        "--json",
        "--max-hours",
        "0.006",
        "--set",
        "every=2",
        "--set",
        "tolerances.gain=-1",
    )
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


def test_wrong_addresses_commands_and_runtimes_are_told_before_anything_is_heard(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["listen", "--user", "ana", "--home", str(home), "--input", "nowhere.wav"]
    for more, message in (
        (["--wyoming", "10400"], "not HOST:PORT"),
        (["--exec", "say 'hi"], "No closing quotation"),
        (["--runtime", "qnn"], "--target snapdragon"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*told, *more])
        assert ended.value.code == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_the_meter_shows_loudness_and_score() -> None:
    line = meter.drawn(Level(83.2, -35.0, 0.75, awake=True)).plain
    assert line.startswith("● 1:23   -35 dB " + "█" * 10 + "·" * 10)
    assert line.endswith("█" * 15 + "·" * 5 + " 0.75")
    assert meter.drawn(Level(0.0, -90.0, 0.0, awake=False)).plain.startswith("○ 0:00   -90 dB " + "·" * 20)
