"""A person's keyword learns from a stream on a package, and what is not theirs is left alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.export import package, personal, takes
from kwsctl.export.adapt_options import PackageAdaptOptions
from kwsctl.export.adaptation import HELD_BACK, PackageAdaptation
from kwsctl.export.enrolment import PackageEnrollOptions, enroll
from kwsctl.export.hearing import BESIDE, REACH, STEP, Segment, Window, aligned
from kwsctl.export.package import Package
from kwsctl.export.runtime import Runtime
from kwsctl.export.votes import USUAL_OWN, Judge
from kwsctl.learning import segments, updating, voices
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.votes import Votes
from kwsctl.streaming.sources import sources
from tests import toy_people
from tests.export.test_enrolment import FAR, PERSON, WORD, own_package, stream_of

RATE = toy_people.SPEC.sample_rate_hz


def opened(tmp_path: Path, **options: object) -> tuple[Package, Runtime]:
    """A package that somebody is enrolled in."""
    packaged = own_package(tmp_path)
    runtime = Runtime(packaged)
    used, _ = takes.read(toy_people.write(tmp_path, WORD, PERSON, 3), runtime)
    chosen = PackageEnrollOptions(**{"far": FAR, "method": "prototype", **options})  # type: ignore[arg-type]
    personal.write_part(packaged, enroll(runtime, WORD, used, None, "ana", chosen).part)
    return packaged, runtime


def adapted(packaged: Package, runtime: Runtime, path: Path, **options: object) -> object:
    # All voices of tones are alike, so that the voice decides alone and not together with the word.
    # How many of a few words of tones pass differs from processor to processor, and is another test's matter.
    lenient = Tolerances(false_alarms=1.0)
    given = {"votes": Votes(joint=-50.0), "tolerances": lenient, **options}
    asked = PackageAdaptOptions(**given)  # type: ignore[arg-type]
    run = PackageAdaptation(runtime, personal.read_part(packaged, "ana"), None, asked)
    return run.run(sources(str(path), RATE, None, identify=True))  # type: ignore[arg-type]


def test_constants_are_those_of_adaptation_on_a_bundle() -> None:
    assert (HELD_BACK, USUAL_OWN) == (updating.HELD_BACK, voices.USUAL_OWN)
    assert (REACH, STEP) == (segments.REACH, segments.STEP)


@pytest.mark.parametrize(("cosine", "above", "decision"), [
    (0.85, 0.1, "positive"), (0.60, 1.0, "abstain"), (0.60, 4.1, "positive"), (0.85, -0.1, "abstain"),
])  # fmt: skip
def test_what_a_voice_lacks_to_how_the_person_usually_sounds_the_keyword_must_have(
    tmp_path: Path, cosine: float, above: float, decision: str
) -> None:
    packaged, runtime = opened(tmp_path)
    part = personal.read_part(packaged, "ana")
    limits = dataclasses.replace(PackageAdaptOptions().votes, voice=0.5, agreeing=0, consistent=0.0)
    judge = Judge(runtime, WORD, part.head, 0.0, (part.head, -99.0), part.voice, 0.0, False, limits)
    segment = Segment(None, above, (above,))  # type: ignore[arg-type]  # its audio is not asked for
    embeddings = np.ones((3, part.head.weight.shape[1]), np.float32)
    assert judge._decided(segment, above, embeddings, cosine)[0] == decision


def test_a_segment_is_moved_to_where_the_keyword_scores_highest(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path)
    head, spec = personal.read_part(packaged, "ana").head, packaged.manifest.features
    size = packaged.manifest.n_frames
    wide = np.random.default_rng(0).normal(size=(spec.mel_bins, size + 2 * BESIDE)).astype(np.float32)
    given = Segment(Window(5.0, wide, None), -9.0, (-9.0,))
    found = aligned(given, runtime, lambda embeddings: head.margins(embeddings, WORD))
    scored = {
        place: float(head.margins(runtime.outputs(wide[None, :, BESIDE + place :][..., :size])[0], WORD)[0])
        for place in range(-REACH, REACH + 1, STEP)
    }
    best = max(scored, key=lambda place: scored[place])
    assert found.margin == pytest.approx(scored[best], abs=1e-4)
    assert best and found.window.time_s == pytest.approx(5.0 + best * spec.hop_ms / 1000)
    assert np.array_equal(found.window.wide, wide[:, REACH + best : wide.shape[1] - REACH + best])


def test_calls_are_learned_from_once_and_the_row_moves(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path)
    before = personal.read_part(packaged, "ana")
    path = stream_of(tmp_path / "day.wav", PERSON)
    found = adapted(packaged, runtime, path)
    after = personal.read_part(packaged, "ana")
    assert found.positives >= 5  # type: ignore[attr-defined]
    assert found.updates >= 1  # type: ignore[attr-defined]
    assert not np.array_equal(before.head.weight, after.head.weight)
    assert after.head.labels == before.head.labels
    assert after.updates[0]["method"] == "forward"
    assert package.read(packaged.folder)  # what is learned does not spoil the package
    again = adapted(packaged, runtime, path)
    # Those that an update learned from do not come again; the last ones were too few for another update.
    waiting = found.positives % PackageAdaptOptions().every  # type: ignore[attr-defined]
    assert again.positives <= waiting and again.updates == 0  # type: ignore[attr-defined]


def test_a_stranger_teaches_nothing(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path, policy="only")
    before = personal.read_part(packaged, "ana")
    found = adapted(packaged, runtime, stream_of(tmp_path / "guest.wav", 23))
    assert found.positives == 0  # type: ignore[attr-defined]
    assert np.array_equal(before.head.weight, personal.read_part(packaged, "ana").head.weight)


def test_an_update_that_loses_calls_is_rolled_back(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path)
    kept = (packaged.folder / "personal" / "ana.person").read_bytes()
    strict = dataclasses.replace(PackageAdaptOptions().tolerances, calls=-1.0)
    found = adapted(packaged, runtime, stream_of(tmp_path / "day.wav", PERSON, 4), tolerances=strict)
    assert found.rolled_back  # type: ignore[attr-defined]
    assert not found.updates  # type: ignore[attr-defined]
    assert (packaged.folder / "personal" / "ana.person").read_bytes() == kept


def test_the_threshold_alone_can_move(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path)
    before = personal.read_part(packaged, "ana")
    adapted(packaged, runtime, stream_of(tmp_path / "day.wav", PERSON, 3), method="threshold")
    assert np.array_equal(before.head.weight, personal.read_part(packaged, "ana").head.weight)


@pytest.mark.parametrize("learned", [False, True])
def test_where_no_gain_can_show_a_threshold_alone_is_nothing_gained_but_a_row_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learned: bool
) -> None:
    packaged, runtime = opened(tmp_path)
    full = PackageAdaptOptions(tolerances=Tolerances(gain=1.0, false_alarms=1.0))
    run = PackageAdaptation(runtime, personal.read_part(packaged, "ana"), None, full)
    head = dataclasses.replace(run._part.head) if learned else run._part.head
    monkeypatch.setattr(run, "_proposed", lambda: head)
    monkeypatch.setattr(run, "_threshold_of", lambda _: run.threshold)
    (source,) = sources(str(stream_of(tmp_path / "day.wav", PERSON)), RATE, None, identify=True)
    run._update(source)
    assert run._taken == learned
    assert list(run._reasons) == ([] if learned else ["nothing is gained by it"])


def test_what_changes_the_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="'lora' cannot learn on an exported package"):
        PackageAdaptOptions(method="lora")


def test_a_keyword_that_is_not_there_is_told(tmp_path: Path) -> None:
    packaged, runtime = opened(tmp_path)
    with pytest.raises(InputError, match="no keyword 'xyz'"):
        PackageAdaptation(runtime, personal.read_part(packaged, "ana"), "xyz", PackageAdaptOptions())
