from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from kwsctl import architecture
from kwsctl.audio import files
from kwsctl.bundle import Bundle
from kwsctl.cli import parameters
from kwsctl.cli.evaluate import evaluate_command
from kwsctl.data import manifest
from kwsctl.errors import InputError, KwsctlError
from kwsctl.types import BACKGROUND, Clip
from tests.evaluation.tones import RATE_HZ, SPEC, tone, tone_bundle

WORDS = ("low", "high")

app = typer.Typer()
app.command()(evaluate_command)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three speakers say two words twice; one says the wrong one; and ten seconds of faint noise."""
    clips = []
    for n in range(6):
        for word in WORDS:
            path = tmp_path / "clips" / f"{word}{n}.wav"
            said = "high" if (n, word) == (0, "low") else word
            files.write(path, tone(said).astype(np.float32) / 32768, RATE_HZ)
            clips.append(Clip(path, word, f"s{n % 3}", "test"))
    noise = np.random.default_rng(0).normal(0, 1e-3, 10 * RATE_HZ).astype(np.float32)
    files.write(tmp_path / "clips" / "noise.wav", noise, RATE_HZ)
    clips.append(Clip(tmp_path / "clips" / "noise.wav", BACKGROUND, None, "test"))
    manifest.write(tmp_path / "clips" / "manifest.csv", clips)
    return tmp_path / "clips" / "manifest.csv"


@pytest.fixture
def tones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command finds a model that is right by construction."""
    bundle = tone_bundle(WORDS, lineage={"speakers": ["s2"]})
    monkeypatch.setattr(parameters, "resolve_model", lambda model, home: (bundle, "tones (a test)"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failure(*arguments: str | Path) -> KwsctlError:
    error = run(*arguments).exception
    assert isinstance(error, KwsctlError)
    return error


@pytest.mark.usefixtures("tones")
def test_json_is_the_only_thing_on_stdout(data: Path) -> None:
    done = run("--data", data, "--json")
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert facts["accuracy"] == pytest.approx(11 / 12) and facts["n"] == 12
    assert facts["detection"]["hours"] == pytest.approx(10 / 3600)
    assert facts["detection"]["budget"] == 0.5 and facts["per_speaker"]["s0"]["rate"] == 0.75
    assert "Model: tones (a test)" in done.stderr


@pytest.mark.usefixtures("tones")
def test_the_table_has_the_figures_and_the_warnings_go_to_stderr(data: Path) -> None:
    done = run("--data", data)
    assert done.exit_code == 0
    assert done.stdout.startswith("accuracy") and "91.67 %" in done.stdout and "high 1" in done.stdout
    assert "1 of 3 speakers are in the training data (s2)" in done.stderr
    assert "cannot prove" in done.stderr and "warning" not in done.stdout


@pytest.mark.usefixtures("tones")
def test_anyone_can_work_out_the_accuracy_from_the_scores(data: Path, tmp_path: Path) -> None:
    done = run("--data", data, "--scores", tmp_path / "scores.csv", "--json")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    best: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["path"] not in best or float(row["score"]) > float(best[row["path"]]["score"]):
            best[row["path"]] = row
    right = [row["keyword"] == row["label"] for row in best.values()]
    assert sum(right) / len(right) == json.loads(done.stdout)["accuracy"]


@pytest.mark.usefixtures("tones")
def test_a_picture_is_drawn(data: Path, tmp_path: Path) -> None:
    assert run("--data", data, "--plot", tmp_path / "det.svg").exit_code == 0
    assert (tmp_path / "det.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.usefixtures("tones")
def test_fail_under_decides_the_exit_code(data: Path) -> None:
    assert run("--data", data, "--fail-under", "0.9").exit_code == 0
    failed = run("--data", data, "--fail-under", "0.95", "--json")
    assert failed.exit_code == 3
    assert json.loads(failed.stdout)["n"] == 12  # the figures come all the same
    assert "0.9167 is below --fail-under 0.95" in failed.stderr


@pytest.mark.usefixtures("tones")
def test_options_come_from_flags_and_assignments(data: Path, tmp_path: Path) -> None:
    (tmp_path / "options.toml").write_text("fa_per_hour = 7.0\nsmoothing_s = 0.2\n")
    done = run("--data", data, "--json", "--config", tmp_path / "options.toml", "--fa-per-hour", "2",
               "--set", "refractory_s=1")  # fmt: skip
    detection = json.loads(done.stdout)["detection"]
    assert (detection["budget"], detection["smoothing_s"], detection["refractory_s"]) == (2.0, 0.2, 1.0)
    assert "Did you mean 'smoothing_s'" in failure("--data", data, "--set", "smooting_s=1").hint


@pytest.mark.usefixtures("tones")
def test_background_files_are_added(data: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 20 * RATE_HZ).astype(np.float32)
    files.write(tmp_path / "more" / "rain.flac", noise, RATE_HZ)
    facts = json.loads(run("--data", data, "--background", tmp_path / "more", "--json").stdout)
    assert facts["detection"]["hours"] == pytest.approx(30 / 3600)
    assert set(facts["detection"]["backgrounds"]) == {"manifest", str(tmp_path / "more")}


@pytest.mark.usefixtures("tones")
def test_wrong_values_are_found_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = Path("missing.csv")
    assert "det.gif has no known picture suffix" in failure("--data", nowhere, "--plot", "det.gif").message
    assert "95 is not a share" in failure("--data", nowhere, "--fail-under", "95").message
    assert "missing.csv" in failure("--data", nowhere).message


@pytest.mark.usefixtures("tones")
def test_a_split_without_clips_names_the_others(data: Path) -> None:
    error = failure("--data", data, "--split", "val")
    assert isinstance(error, InputError) and error.hint.endswith("test 13.")


def test_a_bundle_file_is_evaluated(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = architecture.build("tcresnet", {}, 2, SPEC.mel_bins).state_dict()
    bundle = Bundle("tcresnet", {}, SPEC, WORDS, "keywords", 1.0, weights, {"low": 0.5, "high": 0.5})
    bundle.save(tmp_path / "model.safetensors")
    done = run("--data", data, "--model", tmp_path / "model.safetensors", "--json")
    facts = json.loads(done.stdout)
    assert facts["bundle_sha256"] == bundle.sha256 and facts["arch"] == "tcresnet"
    assert facts["detection_as_shipped"]["threshold"] == {"high": 0.5, "low": 0.5}
    assert (tmp_path / "kwsctl-home" / "prepared").is_dir()
