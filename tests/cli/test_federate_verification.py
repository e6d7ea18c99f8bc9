"""`kwsctl federate --task verification`, and `kwsctl verify` with what it made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kwsctl import architecture
from kwsctl.audio import files
from kwsctl.bundle import Bundle
from kwsctl.cli.app import main
from kwsctl.types import FeatureSpec
from tests.toy_people import RATE_HZ, say


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four users and two strangers, and an encoder that has learned nothing."""
    folder, rows = tmp_path_factory.mktemp("people"), ["path,label,speaker,split"]
    for speaker in range(6):
        for take in range(8):
            path = folder / f"s{speaker}-{take}.wav"
            files.write(path, say("031", speaker, take), RATE_HZ)
            rows.append(f"{path.name},031,s{speaker},{'train' if speaker < 4 else 'val'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    network = architecture.build("duet", {"width": 0.4}, 0, 40)
    trunk = Bundle("duet", {"width": 0.4}, FeatureSpec(), (), "wake", 1.0, network.state_dict())
    trunk.save(folder / "encoder.safetensors")
    return folder


def test_users_learn_and_a_newcomer_is_verified(capsys: pytest.CaptureFixture[str], recorded: Path) -> None:
    encoder, made = recorded / "encoder.safetensors", recorded / "voices.safetensors"
    common = ("--data", recorded / "manifest.csv", "--model", encoder, "--rounds", 3, "--json")
    code, out, err = run(capsys, "federate", *common, "--task", "verification", "--out", made)
    assert code == 0, err
    found = json.loads(out)
    assert found["method"] == "feduv"
    assert found["users"] == 4
    assert found["held_out"]["users"] == 4
    assert set(found["unseen"]["fpr"]) == {"0.8", "0.9", "0.95"}
    assert "secure.on=true" in err
    code, out, err = run(
        capsys, "federate", *common, "--method", "fedaws", "--out", recorded / "aws.safetensors"
    )
    assert code == 0, err
    assert "shows the server an embedding of every user" in err

    clips = [recorded / f"s5-{take}.wav" for take in range(5)]
    ears = ("--user", "eve", "--model", made, "--encoder", encoder)
    code, out, err = run(capsys, "verify", *clips, *ears, "--enroll", "--tpr", 0.8, "--json")
    assert code == 0, err
    assert json.loads(out)["clips_used"] == 5
    code, out, err = run(capsys, "verify", *clips, *ears)
    assert code == 0, err
    assert "this is eve" in out
    code, _, err = run(capsys, "verify", *clips, *ears, "--enroll")
    assert code == 2
    assert "already kept" in err
    code, _, err = run(capsys, "verify", clips[0], "--user", "eve", "--model", encoder, "--encoder", encoder)
    assert code == 1
    assert "tells words, not who speaks" in err
    code, _, err = run(
        capsys, "verify", clips[0], "--user", "eve", "--model", recorded / "aws.safetensors",
        "--encoder", encoder,
    )  # fmt: skip
    assert code == 1
    assert "was made with" in err


def test_the_help_says_that_liveness_is_out_of_scope(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "verify", "--help")
    assert code == 0
    assert "out of scope" in " ".join(out.split())
