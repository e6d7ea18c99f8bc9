"""`kwsctl train`, from a manifest to a bundle that `evaluate` takes without being told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kwsctl import bundle
from kwsctl.cli.app import main

from ..toy_words import write_corpus

QUICK = ("--epochs", "8", "--set", "batch_size=32", "--set", "ema_decay=0.8", "--set", "network.width=0.5")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    code = end.value.code
    return code if isinstance(code, int) else 0, out, err


def test_train_then_evaluate(capsys: pytest.CaptureFixture[str], tmp_path: Path, own_home: Path) -> None:
    data = write_corpus(tmp_path / "toy")
    code, out, err = run(capsys, "train", "--data", str(data), *QUICK, "--json")
    assert code == 0, err
    facts = json.loads(out)
    wanted = {"bundle", "arch", "params", "macs_per_clip", "train_s", "clips_per_s", "val"}
    assert wanted <= set(facts)
    made = bundle.load(Path(facts["bundle"]))
    assert made.lineage["data"] == ["toy"]
    assert Path(facts["bundle"]).is_relative_to(own_home)

    code, out, err = run(capsys, "evaluate", "--data", str(data), "--json")
    assert code == 0, err
    assert "trained last" in err
    assert json.loads(out)["n"] == 18

    code, out, _ = run(capsys, "evaluate", "--data", str(data), "--fail-under", "1.0", "--json")
    assert code in (0, 3)
    assert (code == 0) == (json.loads(out)["accuracy"] == 1.0)


def test_words_of_another_manifest_are_negatives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first = write_corpus(tmp_path / "a")
    second = write_corpus(tmp_path / "b", words=("hill",))
    arguments = ("--data", str(first), "--data", str(second), "--keyword", "hill", *QUICK, "--epochs", "1")
    code, out, err = run(capsys, "train", *arguments, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["task"], facts["labels"]) == ("wake", ["hill"])


def test_people_see_a_table_and_the_next_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "toy")
    out_file = tmp_path / "m.safetensors"
    code, out, err = run(
        capsys, "train", "--data", str(data), "--out", str(out_file), *QUICK, "--epochs", "1"
    )
    assert code == 0, err
    assert "Held-out accuracy" in out
    assert f"Next: kwsctl evaluate --data {data}" in err


def test_training_goes_on_from_another_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, first, second = write_corpus(tmp_path), tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    quick = ("train", "--data", str(data), "--json", "--epochs", "1")
    code, out, err = run(capsys, *quick, "--out", str(first), "--set", "network.width=0.5")
    assert code == 0, err
    begun = json.loads(out)
    code, out, err = run(capsys, *quick, "--out", str(second), "--from", str(first))
    assert code == 0, err
    assert json.loads(out)["params"] == begun["params"]  # the network comes with the bundle
    assert bundle.load(second).lineage["parent"] == begun["sha256"]
    code, out, err = run(capsys, *quick, "--out", str(second), "--from", str(first), "--arch", "dscnn")
    assert code == 2
    assert "tcresnet" in err


def test_a_broken_manifest_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file;word\n")
    code, out, err = run(capsys, "train", "--data", str(tmp_path / "m.csv"))
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")


def test_what_a_step_takes_is_told_before_and_nothing_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = write_corpus(tmp_path / "toy")
    model = tmp_path / "m.safetensors"
    arguments = ("train", "--data", str(data), "--out", str(model), *QUICK, "--dry-run")
    code, out, err = run(capsys, *arguments, "--cost", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["batch_size"] == 32 and facts["params_touched"] == facts["params"]
    assert facts["moved_dynamic"] > facts["moved_static"] > 0
    assert [layer["name"] for layer in facts["layers"]][:2] == ["stem", "blocks.0.conv_a"]
    code, out, _ = run(capsys, *arguments, "--precision", "w4a8g8")
    assert code == 0 and "Moved, w4a8g8" in out and "Activations kept" in out
    assert not model.exists() and not list(tmp_path.glob("*.resume.safetensors"))
    code, out, err = run(capsys, "train", "--dry-run")
    assert code == 2 and out == "" and "a corpus would have to be spoken first" in err


def test_quantized_training_from_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "toy")
    arguments = ("train", "--data", str(data), *QUICK, "--epochs", "1")
    code, out, err = run(
        capsys,
        *arguments,
        "--precision",
        "w8a8g8",
        "--set",
        "quantization.estimator=running",
        "--cost",
        "--json",
    )
    assert code == 0, err
    facts = json.loads(out)
    assert facts["cost"]["bits"] == {"weights": 8, "activations": 8, "gradients": 8}
    lineage = bundle.load(Path(facts["bundle"])).lineage
    assert lineage["options"]["precision"] == "w8a8g8"
    assert lineage["options"]["quantization"]["estimator"] == "running"
    assert set(lineage["activation_ranges"]) >= {"stem", "head"}
    code, out, err = run(capsys, *arguments, "--precision", "int8")
    assert code == 2 and out == "" and "There is no precision 'int8'" in err
    code, out, err = run(capsys, *arguments, "--precision", "w8a8g8", "--set", "quantization.estimator=run")
    assert code == 2 and out == "" and "Did you mean 'running'" in err
    code, out, err = run(capsys, *arguments[:3], "--arch", "revtcnet", "--precision", "w8a8g8")
    assert code == 2 and out == "" and "--set network.keeping=everything" in err
