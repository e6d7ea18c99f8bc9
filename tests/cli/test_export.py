"""`kwsctl export` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kwsctl.cli.app import main
from kwsctl.export import heard, package, personal
from kwsctl.learning import enrolment_clips
from kwsctl.types import POWER_FLOOR
from tests import toy_people
from tests.export.exported import keyword_package


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    toy_people.keyword_model().save(path)
    return path


def test_a_package_is_made_and_evaluated(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "package"
    common = ("--set", "stream=false", "--precision", "w8a16", "--json")
    code, stdout, stderr = run(capsys, "export", "--target", "onnx", "--model", model, "--out", out, *common)
    assert code == 0, stderr
    facts = json.loads(stdout)
    assert facts["precision"] == "w8a16"
    assert facts["why"].startswith("as asked")
    assert {"files", "parity", "size_bytes", "backend"} <= set(facts)
    assert facts["size_bytes"] == sum(facts["files"].values())
    assert package.read(out).manifest.base == str(model.resolve())
    store = tmp_path / "clips"
    from kwsctl.data import manifest
    from kwsctl.types import Clip

    clips = [
        Clip(path, word, f"s{speaker}", "test")
        for word in toy_people.WORDS[:3]
        for speaker in (20, 21)
        for path in toy_people.write(store, word, speaker, 2)
    ]
    manifest.write(store / "manifest.csv", clips)
    answers = []
    for given in (model, out):
        code, stdout, stderr = run(
            capsys, "evaluate", "--model", given, "--data", store / "manifest.csv", "--json"
        )
        assert code == 0, stderr
        answers.append(json.loads(stdout))
    assert answers[0]["n"] == answers[1]["n"] == 12
    assert answers[0]["accuracy"] == answers[1]["accuracy"]
    assert answers[0]["bundle_sha256"] != answers[1]["bundle_sha256"]


def test_a_wrong_chip_or_target_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--out", tmp_path / "out")
    code, _, stderr = run(capsys, "export", "--target", "snapdragon", "--soc", "SM8651", *common)
    assert code == 2
    assert "Did you mean 'sm8650'" in stderr
    code, _, stderr = run(capsys, "export", "--target", "snapdragn", *common)
    assert code == 2
    assert "Did you mean 'snapdragon'" in stderr
    code, _, stderr = run(capsys, "export", "--target", "snapdragon", "--precision", "float", *common)
    assert code == 2
    assert "w8a16" in stderr
    assert not (tmp_path / "out").exists()


def test_profiling_on_a_device_needs_consent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--profile-on-device", "Samsung Galaxy S24", "--out", tmp_path / "out")
    code, _, stderr = run(capsys, "export", "--target", "snapdragon", *asked)
    assert code == 2
    assert "--consent-to-upload" in stderr
    code, _, stderr = run(capsys, "export", "--target", "onnx", *asked)
    assert code == 2
    assert "--target snapdragon" in stderr
    assert not (tmp_path / "out").exists()


def test_data_with_one_split_has_nothing_to_calibrate_with(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = toy_people.write(tmp_path / "clips", toy_people.WORDS[0], 21, 3)
    rows = [f"clips/{clip.name},{toy_people.WORDS[0]},x,test" for clip in clips]
    (tmp_path / "data.csv").write_text("\n".join(["path,label,speaker,split", *rows]) + "\n")
    given = ("--model", model, "--data", tmp_path / "data.csv", "--out", tmp_path / "out")
    code, _, stderr = run(capsys, "export", "--target", "onnx", *given, "--home", tmp_path / "home")
    assert code == 2
    assert "nothing is left to calibrate with" in stderr
    assert not (tmp_path / "out").exists()


def test_doctor_tells_the_licence_and_the_state_of_each_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, stdout, _ = run(capsys, "doctor", "--json", "--home", tmp_path)
    assert code == 0
    known = {one["name"]: one for one in json.loads(stdout)["findings"]}
    assert "Qualcomm AI Stack License" in known["onnxruntime-qnn"]["detail"]
    assert "biometrics" in known["onnxruntime-qnn"]["detail"]
    for name in ("executorch", "litert", "qai-hub"):
        assert known[name]["state"] in ("works", "optional")
        assert known[name]["state"] == "works" or "install" in known[name]["remedy"]


def test_a_damaged_package_is_refused_by_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(keyword_package().folder, tmp_path / "package"))
    (folder / "model.onnx").write_bytes(b"")
    code, _, stderr = run(capsys, "evaluate", "--model", folder, "--data", tmp_path / "none.csv")
    assert code == 1
    assert "model.onnx was changed or damaged" in stderr


def test_a_person_goes_into_a_package_and_comes_back(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    word = toy_people.WORDS[1]
    clips = toy_people.write(tmp_path / "clips", word, 21, 3)
    enroll = ("enroll", *clips, "--user", "ana", "--keyword", word, "--method", "head")
    assert run(capsys, *enroll, "--model", model)[0] == 0
    folder = Path(shutil.copytree(keyword_package().folder, tmp_path / "package"))
    code, _, stderr = run(capsys, "users", "export", "ana", "--to", folder, "--json")
    assert code == 0, stderr
    code, stdout, stderr = run(capsys, "users", "import", "ana", "--from", folder, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["keywords"] == [word]
    code, stdout, _ = run(capsys, *enroll, "--model", folder, "--json")
    assert code == 0
    assert json.loads(stdout)["profile"].endswith("ana.person")
    code, _, stderr = run(capsys, "users", "import", "ana", "--from", folder)
    assert code == 0, stderr
    code, stdout, _ = run(capsys, "users", "show", "ana", "--json")
    assert len(json.loads(stdout)["links"]) == 2
    again = ("--target", "onnx", "--out", folder, "--precision", "w8a16", "--set", "stream=false")
    assert run(capsys, "export", "--model", model, *again)[0] == 0
    assert (folder / "personal" / "ana.person").is_file()  # an export anew keeps who is enrolled
    other = tmp_path / "for-ana"
    calibrated: dict[str, torch.Tensor] = {}
    of_person = heard.of_person
    monkeypatch.setattr(
        heard, "of_person", lambda user, clips, n: calibrated.update(clips) or of_person(user, clips, n)
    )
    code, _, stderr = run(capsys, "export", "--user", "ana", *again[:2], "--out", other, *again[4:])
    assert code == 0, stderr
    # As the network hears them, not in the steps in which a profile keeps them.
    base = toy_people.keyword_model()
    power = torch.stack([one.power for one in enrolment_clips.read(clips, base)[0]])
    torch.testing.assert_close(calibrated[word], (power + POWER_FLOOR).log(), atol=0.051, rtol=0)
    assert personal.read_part(package.read(other), "ana").keywords.keys() == {word}
    assert run(capsys, "export", *again)[0] == 1  # the shipped bundle is another one
