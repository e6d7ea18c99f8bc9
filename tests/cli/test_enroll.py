"""`kwsctl enroll` from the command line, and `kwsctl evaluate --user` of what it made."""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli import console, parameters, recording
from kwsctl.cli.app import main
from kwsctl.data import manifest
from kwsctl.personal import encryption, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.types import BACKGROUND, Clip
from tests.toy_people import NEW_WORDS, RATE_HZ, WORDS, encoder, negatives, say, wake_model, write

WORD = NEW_WORDS[0]
SECRET = "correct horse battery staple"  # noqa: S105  # of a profile that only the tests have
QUICK = ("--method", "prototype", "--far", "0.02")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be shipped with kwsctl."""
    folder = tmp_path_factory.mktemp("shipped")
    encoder().save(folder / parameters.ENCODER)
    wake_model().save(folder / parameters.COMMANDS)
    negatives().save(folder / parameters.NEGATIVES)
    return folder


@pytest.fixture(autouse=True)
def surroundings(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "shipped", lambda name: shipped / name)
    monkeypatch.setattr(encryption, "SCRYPT_N", 4)
    monkeypatch.setattr(console._out, "_width", 200)
    monkeypatch.delenv("KWSCTL_PASSPHRASE", raising=False)


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return write(tmp_path / "clips", WORD, 20, 3)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


def enroll(capsys: pytest.CaptureFixture[str], *arguments: object, word: str = WORD) -> dict[str, Any]:
    code, out, err = run(capsys, "enroll", *arguments, "--user", "ana", "--keyword", word, *QUICK, "--json")
    assert code == 0, err
    assert out.count("\n") == 1, "one JSON object, nothing else"
    found: dict[str, Any] = json.loads(out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code, out, err = run(capsys, "enroll", *arguments)
    assert out == "" and "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    assert code != 0
    return code, lines[0]


def test_json_says_all_that_was_found(
    clips: list[Path], own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = enroll(capsys, *clips)
    assert found.keys() >= {
        "user", "profile", "keyword", "base", "method", "why", "policy", "clips_used", "clips_rejected",
        "threshold", "expected", "seconds", "bytes",
    }  # fmt: skip
    assert (found["user"], found["keyword"], found["method"]) == ("ana", WORD, "prototype")
    assert found["clips_used"] == [str(path) for path in clips] and found["clips_rejected"] == {}
    assert found["expected"].keys() == {"detection_rate", "wrong_word_far"}
    assert found["expected"]["detection_rate"]["n"] == 3 and found["expected"]["wrong_word_far"]["n"] == 96
    assert 0 < found["threshold"] < 1
    assert found["base"] == parameters.ENCODER
    kept = profile.load(own_home, "ana")
    assert kept.keywords[WORD].threshold == found["threshold"]
    assert Path(found["profile"]).stat().st_size == found["bytes"] < 64 * 1024
    assert [entry.event for entry in ledger.read(own_home, "ana", None)] == ["enroll"]


def test_the_table_names_the_rates_and_what_comes_next(
    clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "enroll", *clips, "--user", "ana", "--keyword", WORD, *QUICK)
    assert code == 0
    assert f"'{WORD}' by ana (biased: others may say it, too)" in out
    assert "3 used, 0 not" in out and "prototype, as asked" in out
    assert "from 3 clips, each left out in turn" in out and "n = 96 stored clips" in out
    assert "Next: kwsctl evaluate --data MANIFEST --user ana" in err


def test_folders_patterns_and_files_are_the_same_clips_once(
    clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clips[0].parent
    (folder / "notes.txt").write_text("not a clip")
    found = enroll(capsys, folder, folder / "*.wav", clips[0])
    assert sorted(found["clips_used"]) == sorted(str(path) for path in clips)
    assert found["clips_rejected"] == {}


def test_clips_that_cannot_be_used_are_told_one_by_one(
    clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write(tmp_path / "quiet.wav", np.full(RATE_HZ, 1e-4, dtype=np.float32), RATE_HZ)
    (tmp_path / "copy.wav").write_bytes(clips[0].read_bytes())
    (odd,) = write(tmp_path / "odd", WORDS[0], 20, 1)
    more = write(tmp_path / "more", WORD, 20, 2, first_take=300)
    found = enroll(capsys, *clips, *more, tmp_path / "quiet.wav", tmp_path / "copy.wav", odd)
    assert found["clips_used"] == [str(path) for path in (*clips, *more)]
    reasons = {Path(path).name: reason for path, reason in found["clips_rejected"].items()}
    assert reasons["quiet.wav"].startswith("silent")
    assert reasons["copy.wav"] == f"the same recording as {clips[0].name}"
    assert reasons[odd.name] == "does not resemble the other clips"


@pytest.mark.parametrize("given", ["nothing.wav", "missing-folder/*.wav"])
def test_a_name_that_matches_nothing_is_an_error(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refused(capsys, given, "--user", "ana", "--keyword", WORD)
    assert code == 2 and f"There is no clip {given}." in line


def test_without_clips_or_without_a_usable_one_nothing_is_kept(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refused(capsys, "--user", "ana", "--keyword", WORD)
    assert code == 2 and "No clips are given." in line and "--record 5" in line
    files.write(tmp_path / "quiet.wav", np.full(RATE_HZ, 1e-4, dtype=np.float32), RATE_HZ)
    code, line = refused(capsys, tmp_path / "quiet.wav", "--user", "ana", "--keyword", WORD)
    assert code == 2 and "No clip can be used." in line and "in a quiet place" in line
    assert not profile.exists(own_home, "ana")


def test_wrong_values_suggest_right_ones(clips: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refused(capsys, *clips, "--user", "ana", "--keyword", WORD, "--method", "prototpe")
    assert code == 2 and "Did you mean 'prototype'?" in line
    code, line = refused(capsys, *clips, "--user", "ana", "--keyword", WORD, "--policy", "mine")
    assert code == 2 and "biased" in line and "only" in line
    code, line = refused(capsys, *clips, "--user", "ana", "--keyword", WORD, "--far", "2")
    assert code == 2 and "no share" in line
    code, line = refused(capsys, *clips, "--user", "ana")
    assert code == 2 and "No keyword is given." in line


def test_the_only_word_of_a_model_need_not_be_named(
    tmp_path: Path, shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = write(tmp_path, WORDS[0], 20, 3)
    arguments = ("--user", "ben", "--model", shipped / parameters.COMMANDS, *QUICK, "--json")
    code, out, _ = run(capsys, "enroll", *clips, *arguments)
    assert code == 0 and json.loads(out)["keyword"] == WORDS[0]
    code, line = refused(capsys, *clips, *arguments, "--policy", "only")
    assert code == 2 and "tells voices apart" in line


def test_another_base_is_refused_and_the_profile_stays(
    clips: list[Path], shipped: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = Path(enroll(capsys, *clips)["profile"])
    before = link.read_bytes()
    code, line = refused(
        capsys, *clips, "--user", "ana", "--keyword", WORD, "--model", shipped / parameters.COMMANDS
    )
    assert code == 1 and "ana" in line
    assert link.read_bytes() == before and profile.load(own_home, "ana").links == 1


def test_a_second_keyword_and_the_first_once_more(
    clips: list[Path], tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enroll(capsys, *clips)
    enroll(capsys, *write(tmp_path / "second", NEW_WORDS[1], 20, 3), word=NEW_WORDS[1])
    enroll(capsys, *write(tmp_path / "again", WORD, 20, 3, first_take=400))
    kept = profile.load(own_home, "ana")
    assert kept.keywords.keys() == {WORD, NEW_WORDS[1]} and kept.links == 3 and len(kept.enrolled) > 6


def test_a_passphrase_seals_the_profile(
    clips: list[Path], own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KWSCTL_PASSPHRASE", SECRET)
    link = Path(enroll(capsys, *clips)["profile"])
    assert WORD.encode() not in link.read_bytes() and profile.is_encrypted(own_home, "ana")
    assert list(profile.load(own_home, "ana", Key.from_passphrase(SECRET)).keywords) == [WORD]
    before = link.read_bytes()
    for wrong in ("something else", ""):
        monkeypatch.setenv("KWSCTL_PASSPHRASE", wrong)
        code, _ = refused(capsys, *clips, "--user", "ana", "--keyword", NEW_WORDS[1])
        assert code == 1
    assert link.read_bytes() == before
    monkeypatch.setenv("KWSCTL_PASSPHRASE", SECRET)
    enroll(capsys, *clips, word=NEW_WORDS[1])


def test_evaluate_uses_the_personal_threshold_and_leaves_enrolled_clips_out(
    clips: list[Path], tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threshold = enroll(capsys, *clips)["threshold"]
    listed = [Clip(path, WORD, "s20", "test") for path in clips]
    listed += [Clip(p, WORD, "s20", "test") for p in write(tmp_path / "new", WORD, 20, 4, first_take=800)]
    listed += [Clip(p, "_unknown_", "s20", "test") for p in write(tmp_path / "new", WORDS[0], 20, 2)]
    files.write(
        tmp_path / "noise.wav",
        0.01 * np.random.default_rng(0).normal(size=5 * RATE_HZ).astype(np.float32),
        RATE_HZ,
    )
    listed.append(Clip(tmp_path / "noise.wav", BACKGROUND, None, "test"))
    manifest.write(tmp_path / "manifest.csv", listed)
    code, out, err = run(capsys, "evaluate", "--data", tmp_path / "manifest.csv", "--user", "ana", "--json")
    assert code == 0, err
    assert "3 clips are left out: ana enrolled them." in err
    facts = json.loads(out)
    assert facts["detection_as_shipped"]["threshold"] == {WORD: pytest.approx(threshold)}
    assert facts["per_speaker"]["s20"]["n"] == 4
    (compared,) = facts["before_after"]
    assert compared["heard_before"] is None  # a word that the base does not know
    assert (compared["heard_after"]["n"], compared["wrong_after"]["n"]) == (4, 2)
    assert not (own_home / "runs").exists()  # what is about a person is in the ledger
    assert [entry.event for entry in ledger.read(own_home, "ana")] == ["enroll", "evaluate"]


def test_evaluate_of_nobody_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "evaluate", "--data", tmp_path / "m.csv", "--user", "nobody", "--json")
    assert code == 2 and out == "" and "nobody" in err and err.count("\n") == 1


class Microphone:
    """A stand-in for sounddevice that hears a person say the word again and again."""

    def __init__(self) -> None:
        self.takes = itertools.count(100)
        self.played: list[np.ndarray] = []

    def module(self) -> types.ModuleType:
        microphone = self

        class InputStream:
            def __init__(self, samplerate: int, channels: int, dtype: str, blocksize: int) -> None:
                assert (samplerate, channels, dtype) == (RATE_HZ, 1, "float32")
                self.left = np.pad(say(WORD, 20, next(microphone.takes)), RATE_HZ // 2)  # two seconds

            def __enter__(self) -> InputStream:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def read(self, n: int) -> tuple[np.ndarray, bool]:
                block, self.left = self.left[:n], self.left[n:]
                return block[:, None], False

        made = types.ModuleType("sounddevice")
        vars(made).update(
            InputStream=InputStream,
            PortAudioError=type("PortAudioError", (Exception,), {}),
            play=lambda samples, rate_hz, blocking: self.played.append(samples),
        )
        return made


def test_recorded_clips_are_learned_from_and_do_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    microphone = Microphone()
    monkeypatch.setitem(sys.modules, "sounddevice", microphone.module())
    monkeypatch.setattr(recording, "COUNT_S", 0.0)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    found = enroll(capsys, "--record", 3)
    assert len(found["clips_used"]) == 3 and found["clips_rejected"] == {}
    assert len(microphone.played) == 3 and len(microphone.played[0]) == 2 * RATE_HZ
    assert not any(Path(path).exists() for path in found["clips_used"])
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list(tmp_path.rglob("*.wav")) == []


@pytest.mark.parametrize("count", [0, 21])
def test_too_many_or_no_recordings_are_refused(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refused(capsys, "--record", count, "--user", "ana", "--keyword", WORD)
    assert code == 2 and f"--record {count} is not possible. Record 1 to 20 clips" in line


def test_without_sounddevice_the_remedy_is_one_line(
    monkeypatch: pytest.MonkeyPatch, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr(recording, "COUNT_S", 0.0)
    code, line = refused(capsys, "--record", 3, "--user", "ana", "--keyword", WORD)
    assert code == 1 and "Recording needs sounddevice." in line and "pip install 'kwsctl[mic]'" in line
    assert not profile.exists(own_home, "ana")


def test_what_learning_takes_is_told_and_a_budget_decides(
    clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("enroll", *clips, "--user", "ana", "--keyword", WORD, "--far", "0.02")
    code, out, err = run(capsys, *arguments, "--method", "prototype", "--cost", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert list(facts["cost"]) == ["prototype"] and facts["cost"]["prototype"]["params_touched"] > 0
    code, out, err = run(capsys, *arguments, "--method", "shift", "--cost", "--memory-budget", "40KB")
    assert code == 0, err
    assert "fits" in out and "shift, as asked" in out
    code, out, err = run(capsys, *arguments, "--method", "shift", "--memory-budget", "1KB")
    assert code == 2 and out == "" and "KB even clip by clip, the budget is 1 KB" in err
    code, out, err = run(capsys, *arguments, "--memory-budget", "lots")
    assert code == 2 and out == "" and "'lots' is no amount of memory" in err
    code, out, err = run(capsys, *arguments, "--precision", "w8a8g8")
    assert code == 2 and out == "" and "changes the head alone" in err
