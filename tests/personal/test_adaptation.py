"""A profile that learns from streams: what is kept, what is told, and what a kill leaves behind."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl import bundle
from kwsctl.audio import files
from kwsctl.bench import life
from kwsctl.cli.parameters import ENCODER, NEGATIVES, shipped
from kwsctl.errors import InputError, ProfileError
from kwsctl.learning import enrolment_clips, stored_negatives
from kwsctl.learning.adapt_options import AUTO, AdaptOptions
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.personal import ledger, profile
from kwsctl.personal.adaptation import Adaptation, Adapted
from kwsctl.personal.encryption import Key
from kwsctl.personal.enrolment import added
from kwsctl.personal.heard_before import HeardBefore
from kwsctl.personal.learned import first_of, known_of
from kwsctl.streaming.sources import sources
from tests import real_people
from tests.real_people import KEYWORD

# Toy calls are told so well that no update gives anything; what is tested here is how updates are kept.
OPTIONS = AdaptOptions(method="head", every=3, tolerances=Tolerances(gain=-1.0))


@pytest.fixture(scope="session")
def lived(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Path], Path, life.Stream]:
    """A home in which somebody has enrolled, their clips, and a recorded day."""
    folder = tmp_path_factory.mktemp("lived")
    clips, day, stream = real_people.recorded(folder, real_people.store(real_data))
    enrolled_in(folder / "home", clips, None)
    return folder / "home", clips, day, stream


def enrolled_in(home: Path, clips: list[Path], key: Key | None) -> None:
    base = bundle.load(shipped(ENCODER))
    takes, _ = enrolment_clips.read(clips, base)
    options = EnrollOptions(method="head")
    found = enroll(base, KEYWORD, takes, stored_negatives.load(shipped(NEGATIVES)), options)
    named = tuple(take.sha256 for take in takes)
    power = torch.stack([take.power for take in takes])
    person = added(
        None, found, user="ana", base=base, named=ENCODER, options=options, clips=named, power=power
    )
    profile.save(home, person, key)


def adapted(
    home: Path, where: str, key: Key | None = None, stdin: bytes = b"", options: AdaptOptions = OPTIONS
) -> Adapted:
    base = bundle.load(shipped(ENCODER))
    run = Adaptation(
        home, "ana", key, base, stored_negatives.load(shipped(NEGATIVES)), keyword=None, options=options
    )
    return run.run(sources(where, 16_000, io.BytesIO(stdin), identify=True))


def lines(home: Path, event: str, key: Key | None = None) -> list[dict[str, object]]:
    return [dict(entry.facts) for entry in ledger.read(home, "ana", key) if entry.event == event]


@pytest.fixture(scope="session")
def once(lived: tuple[Path, list[Path], Path, life.Stream], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home after the day was heard once."""
    home = tmp_path_factory.mktemp("once") / "home"
    shutil.copytree(lived[0], home)
    found = adapted(home, str(lived[2]))
    assert found.positives >= 4
    assert found.updates >= 1
    return home


def test_what_is_taken_for_a_call_is_one_and_every_decision_is_in_the_ledger(
    once: Path, lived: tuple[Path, list[Path], Path, life.Stream]
) -> None:
    segments = lines(once, "segment")
    calls = [s for s in lived[3].said if s.kind == "keyword"]
    positives = [s for s in segments if s["decision"] == "positive"]
    assert len(positives) >= 4
    for segment in positives:
        assert any(call.start_s < segment["time_s"] < call.end_s + 1.0 for call in calls)
    assert {s["decision"] for s in segments} >= {"positive", "negative"}
    assert all(s["reason"] and s["votes"] for s in segments)
    updates = lines(once, "update")
    taken = [u for u in updates if u["decision"] == "taken"]
    assert all(0 <= u["canary"]["after"]["false_alarms"] <= 0.01 for u in taken)
    person = profile.load(once, "ana")
    assert (
        [u["link"] for u in taken] == [u["link"] for u in person.updates] == list(range(2, person.links + 1))
    )
    assert sum(len(t) for name, t in person.heard.items() if "/positive/" in name) == len(
        [s for s in positives if s["kept"]]
    )


def test_the_method_that_was_chosen_is_told_and_is_in_the_ledger(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)
    deltas = len(profile.load(home, "ana").deltas)
    found = adapted(home, str(lived[2]), options=dataclasses.replace(OPTIONS, method=AUTO))
    assert found.method == "threshold" and found.updates  # three clips and more, a quiet room
    assert {u["method"] for u in lines(home, "update")} == {"threshold"}
    assert len(profile.load(home, "ana").deltas) == deltas


def test_the_same_day_again_adds_nothing(
    once: Path, lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(once, home)
    before = {p.name: p.read_bytes() for p in (home / "users" / "ana").iterdir()}
    again = adapted(home, str(lived[2]))
    assert (again.positives, again.negatives, again.updates) == (0, 0, 0)
    assert again.skipped > 20
    assert {p.name: p.read_bytes() for p in (home / "users" / "ana").iterdir()} == before
    raw = np.rint(files.read(lived[2]) * 32768).astype("<i2").tobytes()
    piped = adapted(home, "-", stdin=raw)  # no file, so that only the segments themselves are known
    # The model that has learned finds other windows of the same calls: they are known all the same.
    again = [s for s in lines(home, "segment") if s["stream"] == "stdin" and s["decision"] == "positive"]
    assert again and not any(s["kept"] for s in again)
    assert piped.positives == 0
    assert profile.load(home, "ana").links == profile.load(once, "ana").links


def test_undo_takes_back_what_was_learned_and_where_it_had_got_to(
    once: Path, lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(once, home)
    while profile.load(home, "ana").links > 1:
        left = profile.undo(home, "ana")
    assert left is not None
    assert (left.updates, dict(left.heard), left.digests) == ((), {}, ())
    assert HeardBefore(home, "ana", None).until_s == {}


def test_a_loud_room_is_learned_kept_and_taken_back(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home, room = tmp_path / "home", tmp_path / "room.wav"
    shutil.copytree(lived[0], home)
    noise = np.random.default_rng(0).standard_normal(105 * 16_000).astype(np.float32)
    files.write(room, 0.05 * noise, 16_000)
    free = Tolerances(calls=1.0, expected=1.0, false_alarms=1.0, global_task=1.0, drift=2.0, gain=-2.0)
    assert adapted(home, str(room), options=dataclasses.replace(OPTIONS, tolerances=free)).updates == 1
    base, person = bundle.load(shipped(ENCODER)), profile.load(home, "ana")
    assert [update["room"] for update in person.updates] == [True]
    assert 0 < sum(change.nbytes for change in person.deltas[-1].changes.values()) < 200_000
    current = profile.apply(person, base)
    # What later updates are held against has learned the room, too, for no segment has spoken yet.
    assert first_of(person, base, KEYWORD)[0].sha256 == current.sha256
    known = known_of(person, base, KEYWORD, stored_negatives.load(shipped(NEGATIVES)), 0)
    assert known.tuned and known.current.sha256 == current.sha256
    left = profile.undo(home, "ana")
    assert left is not None and len(left.deltas) == len(person.deltas) - 1
    assert not known_of(left, base, KEYWORD, known.negatives, 0).tuned


def test_a_kill_between_model_and_ledger_is_made_good_by_the_next_run(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)

    class Killed(BaseException):
        pass

    saved = profile.save

    def save_and_die(*arguments: object) -> Path:
        saved(*arguments)
        raise Killed

    monkeypatch.setattr(profile, "save", save_and_die)
    with pytest.raises(Killed):
        adapted(home, str(lived[2]))
    monkeypatch.undo()
    assert not lines(home, "update")
    person = profile.load(home, "ana")
    assert len(person.updates) == 1
    adapted(home, str(lived[2]))
    taken = [u for u in lines(home, "update") if u["decision"] == "taken"]
    assert [u["link"] for u in taken] == [u["link"] for u in profile.load(home, "ana").updates]
    digests = profile.load(home, "ana").digests
    assert len(digests) == len(set(digests))


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [2.5, 4.0, 5.5, 7.0])
def test_kill_9_leaves_the_old_profile_or_the_new_one(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path, after_s: float
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)
    told = ["adapt", "--stream", str(lived[2]), "--user", "ana", "--home", str(home), "--set", "every=2"]
    running = subprocess.Popen([sys.executable, "-m", "kwsctl", *told], stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    person = profile.load(home, "ana")
    assert person.links == 1 + len(person.updates)
    ledger.read(home, "ana")
    adapted(home, str(lived[2]))
    final = profile.load(home, "ana")
    assert len(final.digests) == len(set(final.digests))


def test_an_encrypted_profile_adapts_and_nothing_lies_open(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home, key = tmp_path / "home", Key.from_passphrase("horse battery staple")
    enrolled_in(home, lived[1], key)
    with pytest.raises(ProfileError, match="encrypted"):
        adapted(home, str(lived[2]))
    found = adapted(home, str(lived[2]), key)
    assert found.updates >= 1
    assert len(lines(home, "segment", key)) >= 10
    for path in (home / "users" / "ana").iterdir():
        assert b"segment" not in path.read_bytes()


def test_stopping_writes_what_was_heard_and_tells(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)
    base = bundle.load(shipped(ENCODER))
    (source,) = sources(str(lived[2]), 16_000, io.BytesIO(), identify=True)

    def interrupted() -> object:
        samples = next(iter(source.pieces))
        yield samples[: 8 * 16_000]
        raise KeyboardInterrupt

    cut = dataclasses.replace(source, pieces=interrupted())
    negatives = stored_negatives.load(shipped(NEGATIVES))
    run = Adaptation(home, "ana", None, base, negatives, keyword=KEYWORD, options=OPTIONS)
    found = run.run([cut])
    assert found.stopped
    assert found.seconds == pytest.approx(8.0)
    # What was heard is not judged before the room is known: the file is heard again by the next run.
    assert lines(home, "segment") == []
    assert HeardBefore(home, "ana", None).until_s == {}


def test_what_comes_only_once_is_judged_when_it_is_stopped(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)
    (source,) = sources(str(lived[2]), 16_000, io.BytesIO(), identify=True)

    def interrupted() -> object:
        yield from source.pieces
        raise KeyboardInterrupt

    once = dataclasses.replace(source, name="stdin", identity="", pieces=interrupted())
    base, negatives = bundle.load(shipped(ENCODER)), stored_negatives.load(shipped(NEGATIVES))
    run = Adaptation(home, "ana", None, base, negatives, keyword=KEYWORD, options=OPTIONS)
    found = run.run([once])
    assert found.stopped
    assert found.positives >= 4


def test_a_keyword_that_is_not_there_is_told(lived: tuple[Path, list[Path], Path, life.Stream]) -> None:
    base, negatives = bundle.load(shipped(ENCODER)), stored_negatives.load(shipped(NEGATIVES))
    with pytest.raises(InputError, match=f"ana has {KEYWORD}"):
        Adaptation(lived[0], "ana", None, base, negatives, keyword="abracadabra", options=OPTIONS)


@pytest.mark.slow
def test_a_day_is_learned_from_in_eight_bits(
    lived: tuple[Path, list[Path], Path, life.Stream], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived[0], home)
    options = dataclasses.replace(OPTIONS, method="bias", precision="w8a8g8", guarded=False)
    found = adapted(home, str(lived[2]), options=options)
    assert found.updates >= 1
    assert {u["precision"] for u in lines(home, "update")} == {"w8a8g8"}
    person = profile.load(home, "ana")
    assert person.deltas[-1].made_by["precision"] == "w8a8g8"
    assert not any("range" in name for name in person.deltas[-1].changes)
