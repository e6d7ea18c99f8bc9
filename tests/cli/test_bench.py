"""`kwsctl bench` from the command line, on a few people who say words made of tones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from kwsctl.audio import files
from kwsctl.cli import console, parameters
from kwsctl.cli.app import main
from kwsctl.data import manifest
from kwsctl.types import Clip
from tests.toy_people import NEW_WORDS, PEOPLE, RATE_HZ, encoder, negatives, say


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people say two words four times each."""
    folder, clips = tmp_path_factory.mktemp("people"), []
    for speaker in PEOPLE[:4]:
        for word in NEW_WORDS[:2]:
            for take in range(4):
                path = folder / f"{word}-{speaker}-{take}.wav"
                files.write(path, say(word, speaker, take), RATE_HZ)
                clips.append(Clip(path, word, f"s{speaker}", "test"))
    manifest.write(folder / "manifest.csv", clips)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    encoder().save(folder / parameters.ENCODER)
    negatives().save(folder / parameters.NEGATIVES)
    return folder


@pytest.fixture(autouse=True)
def surroundings(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "shipped", lambda name: shipped / name)
    monkeypatch.setattr(console._out, "_width", 200)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *(str(argument) for argument in arguments)])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


def test_new_words_as_json_and_as_a_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("new-words", "--data", data, "--method", "prototype")
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0 and out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    assert (found["method"], found["shots"], found["people"], found["words"]) == ("prototype", 3, 4, 2)
    assert {f["targets"] for f in found["figures"].values()} == {4 * 2}
    assert "Encoder: any-word.safetensors" in err and "mostly from one sitting" in err
    code, out, _ = run(capsys, *arguments, "--word", NEW_WORDS[1])
    assert code == 0 and "prototype, 3 clips, 4 people, 1 words" in out
    code, out, _ = run(capsys, *arguments, "--snr-db", "0", "--json")
    noisy = json.loads(out)["figures"]["wrong word, other people"]
    assert code == 0 and noisy["eer"] > found["figures"]["wrong word, other people"]["eer"]


def test_promises_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "promises", "--data", data, "--shots", "2", "--every", "1", "--set", "method=prototype",
        "--set", "far=0.02", "--json",
    )  # fmt: skip
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    assert len(found["cases"]) == 8 and found["methods"] == {"prototype": 8}
    assert found["inside_low"] <= found["inside"] <= found["inside_high"]


def test_who_the_encoder_has_heard_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = dataclasses.replace(encoder(), lineage={"speakers": ["s20", "s21", "somebody"]})
    known.save(tmp_path / "known.safetensors")
    arguments = ("--data", data, "--model", tmp_path / "known.safetensors", "--method", "prototype")
    code, _, err = run(capsys, "new-words", *arguments, "--word", NEW_WORDS[0])
    assert code == 0 and "The encoder has heard 2 of these people" in err


def test_wrong_values_are_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "new-words", "--data", data, "--method", "prototpe")
    assert code == 2 and out == "" and "Did you mean 'prototype'?" in err
    code, out, err = run(capsys, "few-shot", "--data", data, "--plot", "chart.gif")
    assert code == 2 and out == "" and "chart.gif has no known picture suffix" in err
    code, out, err = run(capsys, "few-shot", "--data", data, "--set", "held_out=3")
    assert code == 2 and out == "" and "4 speakers make no folds of 3" in err
    assert "Traceback" not in err
    code, out, err = run(capsys, "new-words", "--data", data, "--method", "bias", "--word", NEW_WORDS[0])
    assert code == 2 and out == "" and "'bias' changes more than the head" in err
    # More clips than anybody has.
    code, out, err = run(capsys, "new-words", "--data", data, "--shots", "4", "--method", "prototype")
    assert code == 2 and out == "" and "Nobody has more than 4 clips" in err
    code, out, err = run(capsys, "promises", "--data", data, "--shots", "4")
    assert code == 2 and out == "" and "Nobody has more than 4 clips" in err
    code, out, err = run(capsys, "new-words", "--data", data, "--word", "nonsense", "--method", "prototype")
    assert code == 2 and out == "" and "nonsense" in err
