"""Enrolling on a package needs no torch, and hears what enrolling on the bundle hears."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kwsctl.errors import InputError
from kwsctl.evaluation.scoring import score_clips
from kwsctl.export import enrolment, package, packaged, takes
from kwsctl.export.enrolment import Enrolled, PackageEnrollOptions, enroll
from kwsctl.export.package import Package
from kwsctl.export.runtime import Runtime
from kwsctl.learning import enrolment_material
from kwsctl.learning.enroll_options import EnrollOptions
from tests import toy_people
from tests.export.exported import encoder_package, keyword_package

WORD, PERSON, FAR = "147", 21, 0.2  # tones in another order are as like as words are to each other


def own_package(tmp_path: Path) -> Package:
    """A copy of the package of the encoder, to be learned on."""
    return package.read(Path(shutil.copytree(encoder_package().folder, tmp_path / "package")))


def enrolled(tmp_path: Path, **options: object) -> Enrolled:
    runtime = Runtime(encoder_package())
    used, rejected = takes.read(toy_people.write(tmp_path, WORD, PERSON, 4), runtime)
    assert not rejected
    chosen = PackageEnrollOptions(**{"far": FAR, **options})  # type: ignore[arg-type]
    return enroll(runtime, WORD, used, None, "ana", chosen)


def share_heard(found: Enrolled, word: str, speaker: int) -> float:
    bundle = packaged.packaged_bundle(encoder_package(), found.part)
    store = toy_people.crowd((word,), (speaker,), 12, first_take=300)
    values = score_clips(bundle, store, np.arange(12)).values[:, bundle.labels.index(WORD)]
    return float((values >= found.threshold).mean())


def test_constants_are_those_of_enrolment_on_a_bundle() -> None:
    assert enrolment.PLACES == enrolment_material.PLACES
    known = {f.name: f.default for f in dataclasses.fields(EnrollOptions)}
    for field in dataclasses.fields(PackageEnrollOptions):
        assert known[field.name] == field.default


@pytest.mark.parametrize("method", ["prototype", "head"])
def test_a_new_word_is_heard_and_others_are_not(tmp_path: Path, method: str) -> None:
    found = enrolled(tmp_path, method=method)
    assert found.part.head.labels == (WORD,)
    assert share_heard(found, WORD, PERSON) >= 0.8
    assert share_heard(found, "416", PERSON) <= 0.1
    assert found.expected["wrong_word_far"]["rate"] <= FAR + 1 / found.expected["wrong_word_far"]["n"]
    assert found.expected["detection_rate"]["n"] == 4


def margins(found: Enrolled, speaker: int) -> np.ndarray:
    bundle = packaged.packaged_bundle(encoder_package(), found.part)
    scores = score_clips(bundle, toy_people.crowd((WORD,), (speaker,), 6, first_take=300), np.arange(6))
    share = scores.values[:, bundle.labels.index(WORD)].astype(np.float64)
    return np.log(share / (1 - share + 1e-12))


def test_only_puts_another_voice_farther_away(tmp_path: Path) -> None:
    everyone, one = (enrolled(tmp_path, method="prototype", policy=p) for p in ("biased", "only"))
    assert (everyone.part.only, one.part.only) == ((), (WORD,))
    stranger = 23
    gaps = [margins(found, PERSON).mean() - margins(found, stranger).mean() for found in (everyone, one)]
    assert gaps[1] > gaps[0]


def test_a_keyword_of_the_model_keeps_its_place(tmp_path: Path) -> None:
    runtime = Runtime(keyword_package())
    known = toy_people.WORDS[1]
    used, _ = takes.read(toy_people.write(tmp_path, known, PERSON, 3), runtime)
    found = enroll(runtime, known, used, None, "ana", PackageEnrollOptions(method="head"))
    assert found.part.head.labels == keyword_package().manifest.labels
    changed = [
        not np.array_equal(a, b) for a, b in zip(found.part.head.weight, runtime.head().weight, strict=True)
    ]
    assert changed == [label == known for label in found.part.head.labels]


def test_what_a_package_cannot_do_is_told(tmp_path: Path) -> None:
    runtime = Runtime(keyword_package())
    used, _ = takes.read(toy_people.write(tmp_path, WORD, PERSON, 2), runtime)
    with pytest.raises(InputError, match="tells voices apart"):
        enroll(runtime, WORD, used, None, "ana", PackageEnrollOptions(policy="only"))
    with pytest.raises(InputError, match="No clip"):
        enroll(runtime, WORD, [], None, "ana", PackageEnrollOptions())
    with pytest.raises(InputError, match="cannot be a keyword"):
        enroll(runtime, "_unknown_", used, None, "ana", PackageEnrollOptions())


RUN = "from kwsctl.cli.app import main; main({arguments!r})"
WITHOUT = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "onnx"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Nowhere())
"""


def arguments(folder: Path, clips: list[Path], keyword: str) -> list[str]:
    return [
        "enroll", *map(str, clips), "--user", "ana", "--keyword", keyword, "--model", str(folder), "--json",
        "--far", str(FAR),
    ]  # fmt: skip


def adapt_arguments(folder: Path, stream: Path) -> list[str]:
    return [
        "adapt", "--stream", str(stream), "--user", "ana", "--model", str(folder), "--method", "forward",
        "--set", "votes.joint=-50", "--set", "tolerances.false_alarms=1", "--json",
    ]  # fmt: skip


def stream_of(path: Path, speaker: int = PERSON, calls: int = 8, noise: float = 0.003) -> Path:
    """A recording in which a person says the word, and other words in between."""
    draw, rate = np.random.default_rng(5), toy_people.SPEC.sample_rate_hz
    parts = [np.zeros(rate)]
    for take in range(calls):
        for word in (WORD, ("416", "520", "063")[take % 3]):
            parts += [toy_people.say(word, speaker, 500 + take), np.zeros(rate)]
    samples = np.concatenate(parts)
    soundfile.write(path, (samples + noise * draw.normal(size=len(samples))).astype(np.float32), rate)
    return path


def test_the_command_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(encoder_package().folder, tmp_path / "package"))
    clips = toy_people.write(tmp_path, WORD, PERSON, 3)
    code = WITHOUT + RUN.format(arguments=arguments(folder, clips, WORD))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["keyword"], len(facts["clips_used"])) == (WORD, 3)
    assert package.read(folder)  # what people learn does not spoil the package
    assert (folder / "personal" / "ana.person").is_file()
    code = WITHOUT + RUN.format(arguments=adapt_arguments(folder, stream_of(tmp_path / "day.wav")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] >= 1, done.stdout


@pytest.mark.slow
def test_the_command_runs_in_an_environment_without_torch(tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    pip, python = place / "bin" / "pip", place / "bin" / "python"
    needed = [
        "numpy",
        "scipy",
        "onnxruntime",
        "safetensors",
        "soundfile",
        "typer",
        "rich",
        "cryptography",
        "platformdirs",
    ]
    for command in (
        ["install", "-q", *needed],
        ["install", "-q", "--no-deps", str(Path(__file__).parents[2])],
    ):
        subprocess.run([pip, *command], check=True)
    folder = Path(shutil.copytree(encoder_package().folder, tmp_path / "package"))
    clips = toy_people.write(tmp_path, WORD, PERSON, 3)
    code = RUN.format(arguments=arguments(folder, clips, WORD))
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["keyword"] == WORD
    code = RUN.format(arguments=adapt_arguments(folder, stream_of(tmp_path / "day.wav")))
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] >= 1, done.stdout
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
