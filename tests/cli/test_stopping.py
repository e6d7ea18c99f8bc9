"""A person presses Ctrl-C: a real signal to a real process; nothing half-done, and it says how to go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kwsctl import bundle
from kwsctl.audio import files
from kwsctl.export import package
from kwsctl.personal import ledger, profile
from tests import real_people, toy_people
from tests.toy_words import RATE, write_corpus

INTERRUPTED = 130


def start(*arguments: object, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kwsctl", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "KWSCTL_HOME": str(home)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=_as_in_a_terminal,
    )


def _as_in_a_terminal() -> None:
    """Takes back that shells let what they start in the background ignore Ctrl-C, the tests among it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stopped(child: subprocess.Popen[str], under_way: Callable[[], bool]) -> tuple[int, str]:
    """Sends the signal of Ctrl-C once a command is under way; gives its exit code and what it told."""
    while not under_way():
        assert child.poll() is None, f"it ended before it could be stopped: {child.communicate()[1]}"
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    told = child.communicate()[1]
    assert "Traceback" not in told
    return child.returncode, " ".join(told.split())


def ended(*arguments: object, home: Path) -> dict[str, object]:
    """Runs a command to its end."""
    child = start(*arguments, "--json", home=home)
    out, told = child.communicate()
    assert child.returncode == 0, told
    facts: dict[str, object] = json.loads(out)
    return facts


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".tmp" in path.name or path.name.startswith(".")]


def spoken(folder: Path) -> bool:
    """Says whether a first clip is there."""
    return any(path.suffix in (".flac", ".wav") for path in folder.rglob("*"))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.safetensors"
    toy_people.encoder().save(path)
    return path


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    data, made, home = (
        write_corpus(tmp_path / "clips"),
        tmp_path / "made" / "m.safetensors",
        tmp_path / "home",
    )
    told = ("train", "--data", data, "--epochs", 12, "--out", made)
    log = made.with_suffix("").with_suffix(".log.jsonl")
    code, said = stopped(start(*told, home=home), lambda: lines(log) >= 2)
    assert code == INTERRUPTED
    assert f"the same command goes on: kwsctl train --data {data}" in said
    assert not made.exists() and not leftovers(made.parent)
    assert int(str(ended(*told, home=home)["resumed_from"])) >= 2
    assert bundle.load(made).labels


@pytest.mark.slow
def test_a_federation_goes_on_where_it_was_stopped(tmp_path: Path, base: Path) -> None:
    data, made, home = (
        write_corpus(tmp_path / "clips"),
        tmp_path / "made" / "f.safetensors",
        tmp_path / "home",
    )
    told = ("federate", "--data", data, "--model", base, "--part", "head", "--rounds", 150, "--out", made)
    kept = made.with_suffix(".resume.safetensors")
    code, said = stopped(start(*told, home=home), kept.is_file)
    assert code == INTERRUPTED
    assert "the same command goes on: kwsctl federate" in said
    assert not made.exists() and not leftovers(made.parent)
    assert int(str(ended(*told, home=home)["resumed_from"])) >= 1


@pytest.mark.slow
def test_data_that_was_half_prepared_is_finished(tmp_path: Path) -> None:
    home = tmp_path / "home"
    small = ("speakers=3", "takes=2", "negatives=4", "background_min=0.6", 'engines=["hibari", "nanotts"]')
    told = ("data", "prepare", "synthetic", *(part for option in small for part in ("--set", option)))
    code, said = stopped(start(*told, home=home), lambda: spoken(home))
    assert code == INTERRUPTED
    assert "the same command goes on: kwsctl data prepare synthetic" in said
    assert int(str(ended(*told, home=home)["clips"])) > 0


def test_listening_ends_with_whole_lines(tmp_path: Path) -> None:
    home, model = tmp_path / "home", tmp_path / "toy.safetensors"
    toy_people.keyword_model().save(model)
    draw = np.random.default_rng(0)
    hour = np.tile(np.concatenate([toy_people.say(toy_people.WORDS[0], 20),
                                   0.001 * draw.normal(size=2 * RATE)]).astype(np.float32), 2000)  # fmt: skip
    files.write(tmp_path / "hour.wav", hour, RATE)
    child = start("listen", "--model", model, "--input", tmp_path / "hour.wav", "--threshold", 0.5, home=home)
    assert child.stdout is not None
    first = json.loads(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    out, told = child.communicate()
    assert "Traceback" not in told
    assert child.returncode == INTERRUPTED
    events = [first, *map(json.loads, out.splitlines())]
    assert all({"time_s", "keyword", "score"} <= event.keys() for event in events)


def test_a_stopped_export_leaves_no_half_package(tmp_path: Path) -> None:
    model, out, home = tmp_path / "toy.safetensors", tmp_path / "packages" / "toy", tmp_path / "home"
    toy_people.keyword_model().save(model)
    out.parent.mkdir()
    told = ("export", "--target", "onnx", "--model", model, "--out", out)
    code, said = stopped(start(*told, home=home), lambda: any(out.parent.iterdir()))
    assert code == INTERRUPTED
    assert "Nothing was left half-done; begin again: kwsctl export" in said
    assert not any(out.parent.iterdir())
    ended(*told, home=home)
    assert package.read(out).manifest.labels


@pytest.mark.slow
def test_adapting_keeps_what_was_heard(tmp_path: Path, real_data: Path) -> None:
    clips, _, _ = real_people.recorded(tmp_path, real_people.store(real_data))
    home = tmp_path / "home"
    person = ("--user", "ana")
    ended("enroll", *clips, *person, "--keyword", real_people.KEYWORD, "--method", "head", home=home)
    ledger_file = home / "users" / "ana" / "ledger.jsonl"
    before = lines(ledger_file)
    stream = tmp_path / "days"
    stream.mkdir()
    for number in range(20):
        shutil.copy(tmp_path / "day.wav", stream / f"{number:02}.wav")
    told = ("adapt", "--stream", stream, *person, "--set", "every=2")
    code, said = stopped(start(*told, home=home), lambda: lines(ledger_file) > before + 3)
    assert code == INTERRUPTED
    assert "Interrupted" in said or "stopped" in said.lower()
    assert len(ledger.read(home, "ana")) >= before + 3  # no half lines
    assert profile.load(home, "ana").keywords


@pytest.mark.slow
def test_the_demo_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    code, said = stopped(start("demo", "--out", out, home=tmp_path / "home"), lambda: spoken(out))
    assert code == INTERRUPTED
    assert f"the same command goes on: kwsctl demo --out {out}" in said
