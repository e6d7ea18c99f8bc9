"""The demo: who is held out, whose clip is used once, and claims that can be refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.cli.app import main
from kwsctl.data import manifest
from kwsctl.demo import people, week
from kwsctl.demo.claims import Measured, claims
from kwsctl.demo.week import Heard
from kwsctl.errors import InputError
from kwsctl.types import Clip

GERMAN, ENGLISH = "nanotts-de-DE-p070", "hibari-us"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A German and an English voice with 30 calls and 20 other words each, and two more Germans."""
    tmp_path = tmp_path_factory.mktemp("corpus")
    draw, clips = np.random.default_rng(0), []
    for speaker, split in (
        (GERMAN, "train"),
        (ENGLISH, "train"),
        ("nanotts-de-DE", "val"),
        ("nanotts-es-ES", "test"),
    ):
        for n in range(50):
            path = tmp_path / "clips" / f"{speaker}-{n}.wav"
            files.write(path, (0.1 * draw.standard_normal(1600)).astype(np.float32), 16_000)
            clips.append(Clip(path, "hey snapdragon" if n < 30 else "_unknown_", speaker, split))
    manifest.write(tmp_path / "manifest.csv", clips)
    return tmp_path / "manifest.csv"


def rates(**each: float) -> dict[str, Any]:
    return {"per_speaker": {name.replace("_", "-"): {"rate": rate, "n": 30} for name, rate in each.items()}}


def test_accents_are_kept_out_of_training(corpus: Path, tmp_path: Path) -> None:
    held = manifest.read(people.hold_out_accents(corpus, tmp_path / "people.csv"))
    assert {clip.speaker for clip in held if clip.split == "train"} == {ENGLISH}


def test_the_worst_heard_is_chosen_and_no_clip_is_used_twice(corpus: Path, tmp_path: Path) -> None:
    data = people.hold_out_accents(corpus, tmp_path / "people.csv")
    found = people.outlier(data, rates(**{GERMAN: 0.2, "nanotts-es-ES": 0.9}))
    assert found.speaker == GERMAN
    assert found.heard_before == 0.2
    uses = [*found.enrolled, *found.week, *found.others]
    assert len(uses) == len(set(uses))
    left = manifest.read(people.without(data, (*found.week, *found.others), tmp_path / "test.csv"))
    assert not {clip.path.resolve() for clip in left} & {
        path.resolve() for path in (*found.week, *found.others)
    }
    people.save(found, tmp_path / "outlier.json")
    assert people.load(tmp_path / "outlier.json") == found


def test_the_outlier_is_no_client_of_the_federation(corpus: Path, tmp_path: Path) -> None:
    data = people.hold_out_accents(corpus, tmp_path / "people.csv")
    found = people.outlier(data, rates(**{GERMAN: 0.2, "nanotts-es-ES": 0.9}))
    devices = manifest.read(people.devices(data, found, tmp_path / "devices.csv"))
    split = {str(clip.speaker): clip.split for clip in devices}
    assert split == {GERMAN: "val", "nanotts-de-DE": "val", "nanotts-es-ES": "train"}


def test_too_few_clips_are_told(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nobody has 24 clips"):
        people.outlier(corpus, rates(**{ENGLISH: 0.1}))  # is in the split train: never tested


def test_the_week_holds_its_calls_and_the_monday_only_new_ones(corpus: Path, tmp_path: Path) -> None:
    data = people.hold_out_accents(corpus, tmp_path / "people.csv")
    found = people.outlier(data, rates(**{GERMAN: 0.2}))
    week.record(data, tmp_path / "home", found, tmp_path / "week")
    truths = [json.loads((tmp_path / f"{name}.json").read_text()) for name in week.NAMES]
    assert [len(truth["calls"]) for truth in truths] == [2] * 7 + [30 - 4 - 14]
    assert files.info(tmp_path / "week" / "1-monday.flac").seconds == pytest.approx(
        truths[0]["seconds"], abs=0.01
    )
    assert (tmp_path / "8-monday.flac").is_file()


def test_events_are_held_against_what_was_said(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"calls": [[1.0, 2.0], [10.0, 11.0]], "seconds": 20.0}))
    assert week.compare([1.9, 2.2, 5.0], truth) == Heard(2, 1, 1, 20.0)
    assert week.compare([], truth) == Heard(2, 0, 0, 20.0)


def measured() -> Measured:
    share = {"rate": 0.1, "low": 0.0, "high": 0.4, "n": 8}
    row = {"heard_after": {**share, "rate": 0.9, "low": 0.6}, "wrong_after": share}
    update = {"decision": "taken", "canary": {when: {"global_task": 0.8} for when in ("before", "after")}}
    rounds = [{"asked": 2, "figure": 0.9}, {"asked": 2, "figure": 0.95}]
    masked = {"per_round": rounds, "clients": 2, "rounds": 2, "bytes_up": 4000}
    return Measured(
        speaker="s",
        shared={
            "worst_decile": {"rate": 0.1, "rest": 0.9, "gap": 0.8},
            "per_speaker": {"s": {"rate": 0.1, "n": 8}},
        },
        enrolled={"before_after": [row]},
        adapted={"before_after": [{**row, "heard_after": {**share, "rate": 0.95}}]},
        learned=(update,),
        federated={
            "federated": masked,
            "noisy": {**masked, "epsilon": 5.0, "clients": 200},
            "before-federation": {"eer": {"macro": 0.1}, "n_speakers": 3},
            "after-federation": {"eer": {"macro": 0.05}, "n_speakers": 3},
        },
        exported={
            "parity": {"cpu": {"agreement": 0.99, "n": 100, "judged_by": "accuracy"}},
            "size_bytes": 1000,
            "precision": "w8a8",
        },
        monday={
            name: Heard(8, n, 0, 60.0)
            for name, n in (("shared", 1), ("enrolled", 4), ("adapted", 7), ("package", 7))
        },
    )


def of_an_encoder(**changes: float) -> dict[str, Any]:
    parity = {"judged_by": "cosine", "cosine": 0.999, "voice_cosine": 0.999, "agreement": 0.9, "n": 100}
    return {**measured().exported, "parity": {"cpu": {**parity, **changes}}}


def test_an_encoder_is_held_against_its_embeddings_not_the_nearest_of_other_peoples_words() -> None:
    found = claims(dataclasses.replace(measured(), exported=of_an_encoder()))
    assert [one.met for one in found] == [True] * 8 + [None] * 4


def test_claims_that_are_borne_out_are_met_and_others_say_where_to_look() -> None:
    found = claims(measured())
    assert [one.met for one in found] == [True] * 8 + [None] * 4
    assert all("kwsctl bench" in one.measured for one in found if one.met is None)


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        (
            {"shared": {**measured().shared, "worst_decile": {"rate": 0.8, "rest": 0.9, "gap": 0.1}}},
            "Unusual voices are heard worse",
        ),
        ({"learned": ()}, "It goes on learning from unlabelled audio"),
        (
            {"monday": {**measured().monday, "adapted": Heard(8, 7, 5, 60.0)}},
            "Heard live, the Monday after",
        ),
        (
            {"monday": {**measured().monday, "package": Heard(8, 5, 0, 60.0)}},
            "It fits on a device, stays personal and hears the same",
        ),
        (
            {"exported": of_an_encoder(cosine=0.99)},
            "It fits on a device, stays personal and hears the same",
        ),
        (
            {"exported": of_an_encoder(voice_cosine=0.99)},
            "It fits on a device, stays personal and hears the same",
        ),
    ],
)
def test_claims_that_are_not_borne_out_are_told(changes: dict[str, Any], claim: str) -> None:
    found = {one.claim: one.met for one in claims(dataclasses.replace(measured(), **changes))}
    assert found[claim] is False


def test_a_demo_that_was_stopped_goes_on_after_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kwsctl.cli import demo

    done: list[str] = []

    def stop(_place: demo.Place) -> None:
        done.append("second")
        if len(done) < 3:
            raise KeyboardInterrupt

    steps = (
        demo.Step("First", "first", lambda _: done.append("first")),
        demo.Step("Second", "second", stop),
    )
    monkeypatch.setattr(demo, "STEPS", steps)
    monkeypatch.setattr(demo, "_measured", lambda _: measured())
    with pytest.raises(SystemExit) as end:
        main(["demo", "--out", str(tmp_path / "demo")])
    assert end.value.code == 130
    assert "the same command goes on: kwsctl demo" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["demo", "--out", str(tmp_path / "demo"), "--json"])
    assert end.value.code == 0
    assert done == ["first", "second", "second"]
    assert len(json.loads(capsys.readouterr().out)["claims"]) == 12
