"""`kwsctl verify` from the command line, with the shipped model and recordings of people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli import parameters
from kwsctl.cli.app import main

WORDS = ("forward", "close", "seven", "stop", "left")


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KWSCTL_PASSPHRASE", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


def clips(real_data: Path, person: str, take: int) -> list[Path]:
    folder = real_data / "arabic_speech_commands"
    return [sorted((folder / word).glob(f"{person}_*.ogg"))[take] for word in WORDS]


def test_a_person_is_told_from_another(capsys: pytest.CaptureFixture[str], real_data: Path) -> None:
    own, other = clips(real_data, "00000002", 0), clips(real_data, "00000007", 0)
    code, out, _ = run(capsys, "verify", *own, "--user", "ana", "--enroll", "--tpr", "0.8", "--json")
    made: dict[str, Any] = json.loads(out)
    assert code == 0
    assert made["clips_used"] == 5
    code, out, _ = run(capsys, "verify", *clips(real_data, "00000002", 5), "--user", "ana", "--json")
    said = json.loads(out)
    assert code == 0
    assert said["accepted"]
    assert said["score"] == pytest.approx(np.mean(said["scores"]))
    assert said["score"] > said["threshold"] == made["threshold"]
    code, out, _ = run(capsys, "verify", *other, "--user", "ana", "--json")
    assert code == 3
    assert not json.loads(out)["accepted"]
    code, out, _ = run(capsys, "verify", *other, "--user", "ana")
    assert code == 3
    assert "not ana" in out
    code, _, err = run(capsys, "verify", *other, "--user", "ana", "--enroll")
    assert code == 2
    assert "already kept" in err


def test_noise_and_silence_get_a_clear_answer(
    capsys: pytest.CaptureFixture[str], real_data: Path, tmp_path: Path
) -> None:
    _, out, _ = run(capsys, "verify", *clips(real_data, "00000002", 0), "--user", "ana", "--enroll")
    assert "below all of these: expect 83% of further ones" in " ".join(out.split())
    draw = np.random.default_rng(0)
    files.write(tmp_path / "noise.wav", (0.1 * draw.normal(size=16000)).astype(np.float32), 16000)
    files.write(tmp_path / "silence.wav", np.zeros(16000, dtype=np.float32), 16000)
    code, out, err = run(capsys, "verify", tmp_path / "noise.wav", "--user", "ana")
    assert (code == 3 and "not ana" in out) or (code == 2 and "No clip can be used" in err)
    code, _, err = run(capsys, "verify", tmp_path / "silence.wav", "--user", "ana")
    assert code == 2
    assert "No clip can be used" in err


def test_nobody_and_a_model_of_words_are_told(
    capsys: pytest.CaptureFixture[str], real_data: Path, tmp_path: Path
) -> None:
    clip = clips(real_data, "00000002", 0)[0]
    code, _, err = run(capsys, "verify", clip, "--user", "nobody")
    assert code == 2
    assert "There is no user 'nobody'" in err
    words = parameters.shipped(parameters.ENCODER)
    code, _, err = run(capsys, "verify", clip, "--user", "ana", "--model", words)
    assert code == 1
    assert "tells words, not who speaks" in err
    code, _, err = run(capsys, "verify", "--user", "ana", "--enroll")
    assert code == 2
    assert "No clips are given" in err
