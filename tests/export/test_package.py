"""A package is whole or not there, and a damaged one is told."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl.errors import BundleError, InputError, ParityError
from kwsctl.export import heard, package
from kwsctl.export.heard import Heard
from kwsctl.export.runtime import Runtime
from kwsctl.export.targets import onnx as onnx_target
from tests import toy_people
from tests.export.exported import exported, keyword_material, keyword_package, windows


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(keyword_package().folder, tmp_path / "copy"))


def test_the_manifest_says_what_the_package_is() -> None:
    bundle, manifest = toy_people.keyword_model(), keyword_package().manifest
    assert manifest.base_sha256 == bundle.sha256
    assert (manifest.labels, manifest.task, manifest.features) == (
        bundle.labels,
        bundle.task,
        bundle.features,
    )
    assert dict(manifest.thresholds) == dict(bundle.thresholds)
    there = {path.name for path in keyword_package().folder.iterdir()}
    assert {*manifest.files, "manifest.json"} == there
    assert {"model.onnx", "frontend.onnx", "head_step.onnx", "README.md", "export_report.json"} <= there
    assert manifest.stream is not None


def test_the_report_and_the_readme_say_the_same() -> None:
    folder = keyword_package().folder
    report = json.loads((folder / "export_report.json").read_text())
    text = (folder / "README.md").read_text()
    assert report["why"] in text
    assert report["verified"][1:] in text
    assert report["parity"]["cpu"]["n"] > 20
    assert report["stream"]["cosine_cpu"] > 0.999


@pytest.mark.parametrize("name", ["model.onnx", "head.safetensors", "frontend.onnx"])
def test_a_changed_file_is_told_by_name(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} was changed or damaged"):
        package.read(copied)


def test_a_missing_file_is_told(copied: Path) -> None:
    (copied / "head_step.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks head_step.onnx"):
        package.read(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"features": {"bins": 40}}, "garbles a field"),
        ({"labels": None}, "garbles a field"),
    ],
)
def test_a_manifest_that_is_newer_or_garbled_is_told(
    copied: Path, change: dict[str, object], message: str
) -> None:
    path = copied / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message):
        package.read(copied)


def test_no_package_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no exported package.*kwsctl export"):
        package.read(tmp_path)


def test_an_interrupted_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_target, "extras", interrupt)
    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path / "out", toy_people.keyword_model(), keyword_material(), precision="w8a8")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_export_leaves_the_old_package(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = package.read(copied).sha256
    with pytest.raises(RuntimeError), package.whole_folder(copied) as folder:
        (folder / "half").write_text("")
        raise RuntimeError
    assert package.read(copied).sha256 == before
    assert [path.name for path in copied.parent.iterdir()] == ["copy"]


def test_nothing_but_a_package_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="no exported package"):
        exported(tmp_path, toy_people.keyword_model(), keyword_material())
    assert (tmp_path / "thesis.tex").exists()


def test_more_loss_than_allowed_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = onnx_target.runners

    def wrong(model: Path) -> object:
        return {"cpu": lambda features: [-part for part in honest(model)["cpu"](features)]}

    monkeypatch.setattr(onnx_target, "runners", wrong)
    with pytest.raises(ParityError, match=r"points of accuracy on cpu") as caught:
        exported(tmp_path / "out", toy_people.keyword_model(), keyword_material())
    assert caught.value.exit_code == 3
    for precision in ("w8a8", "w8a16", "mixed"):
        assert precision in caught.value.message
    assert not list(tmp_path.iterdir())


def test_too_few_clips_to_calibrate_are_refused() -> None:
    with pytest.raises(InputError, match=r"3 clips are too few to calibrate"):
        heard.for_calibration(Heard(windows(3), ("a",) * 3, (None,) * 3, "three"))


def test_a_split_without_clips_is_told_with_those_that_have_some() -> None:
    store = toy_people.crowd(toy_people.WORDS[:2], (0,), 1)

    with pytest.raises(InputError, match=r"no clips in split 'test'.*train"):
        heard.from_store(toy_people.keyword_model(), store, "test", np.random.default_rng(0))


def test_a_head_of_other_labels_is_told(copied: Path) -> None:
    opened = package.read(copied)
    fewer = dataclasses.replace(opened.manifest, labels=opened.manifest.labels[:-1])
    package.write_manifest(copied, fewer)
    with pytest.raises(BundleError, match=rf"{len(fewer.labels) + 1} rows .* {len(fewer.labels)} labels"):
        Runtime(package.read(copied)).head()


def test_enrolled_clips_calibrate_too_and_are_no_words_to_compare_with() -> None:
    frames = toy_people.SPEC.frames(1.0)
    replay = {"iftah": torch.full((2, 40, frames + 16), 1.5, dtype=torch.float16)}
    own = heard.of_person("ana", replay, frames)
    assert own is not None
    assert (own.features.shape, own.speakers) == ((2, 40, frames), ("ana", "ana"))
    found = heard.for_calibration(keyword_material().calibration, own)
    assert len(found) == len(keyword_material().calibration) + 2
    assert found.labels[:2] == ("_unknown_", "_unknown_")
    assert "2 enrolled clips of ana" in found.origin
    assert heard.of_person("bea", {}, frames) is None


def test_the_report_has_every_label_speaker_and_size() -> None:
    report = json.loads((keyword_package().folder / "export_report.json").read_text())
    found = report["parity"]["cpu"]
    assert set(found["by_label"]) <= set(toy_people.WORDS)
    assert sum(one["n"] for one in found["by_speaker"].values()) == found["n"]
    assert set(next(iter(found["by_label"].values()))) == {"n", "float", "accuracy"}
    assert found["detection"][0] >= 0
    assert report["sizes"]["model.onnx"] == (keyword_package().folder / "model.onnx").stat().st_size
    assert {"macs", "activation_peak_bytes", "calibration", "fine_tuning"} <= set(report)
