"""Doubtful segments wait with their audio until they are answered, sealed where the profile is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl.cli.app import main
from kwsctl.personal import ledger, profile, review
from kwsctl.personal.encryption import Key
from kwsctl.personal.learned import recalled
from kwsctl.personal.review import Asked
from tests.personal.people import enrolled


def doubt(digest: str = "ab12") -> Asked:
    facts = {"stream": "f" * 64, "time_s": 12.5, "votes": {"keyword": -1.2}}
    audio = np.arange(1600, dtype=np.int16)
    return Asked(digest, "open sesame", facts, torch.randn(4, 20).half(), audio)


def test_an_answer_is_learned_from_next_time_and_its_audio_is_gone(tmp_path: Path) -> None:
    profile.save(tmp_path, enrolled())
    path = review.ask(tmp_path, "anna", doubt())
    (one,) = review.queue(tmp_path, "anna")
    np.testing.assert_array_equal(one.audio, doubt().audio)
    review.answer(tmp_path, "anna", one, True)
    assert not path.exists()
    person = profile.load(tmp_path, "anna")
    ((labelled, number),) = recalled(person, "open sesame")
    assert (labelled.decision, number) == ("positive", "asked-ab12")
    assert person.digests == ("ab12",)
    assert [e.event for e in ledger.read(tmp_path, "anna")] == ["review"]
    assert profile.undo(tmp_path, "anna").digests == ()


def test_what_waits_is_sealed_also_when_a_passphrase_comes_later(tmp_path: Path) -> None:
    profile.save(tmp_path, enrolled())
    path, key = review.ask(tmp_path, "anna", doubt()), Key(b"a secret")
    assert b"open sesame" in path.read_bytes()
    person = profile.load(tmp_path, "anna")
    profile.save(tmp_path, person, key)
    assert b"open sesame" not in path.read_bytes()
    (one,) = review.queue(tmp_path, "anna", key)
    assert one.keyword == "open sesame"


def test_questions_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile.save(tmp_path, enrolled())
    for digest in ("a1", "b2", "c3"):
        review.ask(tmp_path, "anna", doubt(digest))
    answers = iter(["y", "n", "drop"])
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    with pytest.raises(SystemExit) as ended:
        main(["users", "review", "anna", "--no-play", "--home", str(tmp_path), "--json"])
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["calls"], told["others"], told["dropped"]) == (1, 1, 1)
    assert not review.queue(tmp_path, "anna")
    assert set(profile.load(tmp_path, "anna").heard) == {
        "open sesame/positive/asked-a1", "open sesame/negative/asked-b2",
    }  # fmt: skip
