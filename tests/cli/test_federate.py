"""`kwsctl federate`, from a manifest to a bundle that `evaluate` takes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from kwsctl import bundle
from kwsctl.cli.app import main

from ..toy_people import encoder
from ..toy_words import write_corpus

QUICK = ("--rounds", "4", "--aggregator", "mean", "--part", "head")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    code = end.value.code
    return code if isinstance(code, int) else 0, out, err


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "encoder.safetensors"
    encoder().save(path)
    return path


def test_federate_then_evaluate(
    capsys: pytest.CaptureFixture[str], data: Path, base: Path, tmp_path: Path
) -> None:
    out_file = tmp_path / "f.safetensors"
    arguments = ("federate", "--data", data, "--model", base, *QUICK, "--out", out_file)
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    facts = json.loads(out)
    wanted = {"rounds", "clients", "per_round", "bytes_up", "bytes_down", "epsilon", "delta", "bundle"}
    assert wanted <= set(facts)
    assert (facts["rounds"], facts["clients"], len(facts["per_round"])) == (4, 7, 4)
    assert bundle.load(out_file).lineage["made_by"]["method"] == "federate"
    code, out, err = run(capsys, "evaluate", "--model", out_file, "--data", data, "--split", "val", "--json")
    assert code == 0, err
    assert json.loads(out)["n"] > 30
    code, out, err = run(capsys, *arguments, "--set", "privacy.clip=1", "--set", "privacy.noise=1")
    assert code == 0, err
    assert "Held-out speakers" in out and "epsilon" in out and "7 clients, 4 rounds" in out
    assert "warning: The noise is 1.4 times" in err and f"Next: kwsctl evaluate --model {out_file}" in err


def test_clients_learn_in_eight_bits(
    capsys: pytest.CaptureFixture[str], data: Path, base: Path, tmp_path: Path
) -> None:
    made = tmp_path / "q.safetensors"
    code, _, err = run(capsys, "federate", "--data", data, "--model", base, *QUICK, "--rounds", "1",
                       "--precision", "w8a8g8", "--out", made)  # fmt: skip
    assert code == 0, err
    found = bundle.load(made)
    assert found.lineage["made_by"]["precision"] == "w8a8g8"
    assert not any("range" in name for name in found.weights)


def test_what_is_missing_or_wrong_is_one_line(
    capsys: pytest.CaptureFixture[str], data: Path, base: Path
) -> None:
    code, _, err = run(capsys, "federate")
    assert code == 2 and "There are no clients without --data." in err
    code, _, err = run(capsys, "federate", "--data", data, "--model", base, *QUICK, "--set", "secure.on=true",
                       "--aggregator", "krum")  # fmt: skip
    assert code == 2 and "krum would see no single client" in err
    code, _, err = run(capsys, "federate", "--data", data, "--set", "uplnk=int8")
    assert code == 2 and "Did you mean 'uplink'" in err
    code, _, err = run(capsys, "federate", "--data", data, "--model", base, *QUICK, "--resume")
    assert code == 2 and "Repeat the interrupted command" in err


def test_deploy_writes_a_fleet_and_prints_lines_that_can_be_copied(
    capsys: pytest.CaptureFixture[str], base: Path, tmp_path: Path
) -> None:
    arguments = ("federate", "deploy", "--model", base, "--out", tmp_path / "fleet", "--set", "part=head")
    arguments += ("--device", "ana", "--device", "ben", "--word", "lights", "--word", "music")
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    (line,) = (line for line in out.splitlines() if line.startswith("flower-superlink"))
    assert line.endswith("--disable-runtime-dependency-installation &") and "Control API" in err
    assert bundle.load(tmp_path / "fleet" / "devices" / "ana" / "base.safetensors").labels == (
        "lights",
        "music",
    )
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "is there already, with keys in it" in err


def test_the_engine_flower_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], data: Path, base: Path, tmp_path: Path
) -> None:
    arguments = ("federate", "--data", data, "--model", base, *QUICK, "--out", tmp_path / "f.safetensors")
    code, _, err = run(capsys, *arguments, "--engine", "flower")
    if importlib.util.find_spec("flwr") is None:
        assert code == 2 and "an environment of its own" in err
    else:
        assert code == 0, err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--workers", 0), "0 workers let nobody learn"),
        (("--workers", 2, "--engine", "flower"), "no workers"),
    ],
)
def test_workers_that_make_no_sense_are_refused(
    more: tuple[object, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    data: Path,
    base: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "f.safetensors"
    code, _, err = run(capsys, "federate", "--data", data, "--model", base, *QUICK, "--out", out, *more)
    assert code == 2 and not out.exists()
    assert said in err
