"""What is a person's travels between the bundle and the package, sealed or not, with the same decisions."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError, ProfileError
from kwsctl.evaluation.scoring import score_clips
from kwsctl.export import moving, package, packaged, personal
from kwsctl.export.package import Package
from kwsctl.export.personal import Part
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.personal import encryption
from kwsctl.personal.encryption import Key
from kwsctl.personal.enrolment import added
from kwsctl.personal.model import personal_bundle
from kwsctl.personal.person import Profile
from tests import toy_people

WORD, PERSON = "257", 21


def profile(policy: str = "biased") -> Profile:
    base = toy_people.encoder()
    options = EnrollOptions(method="head", policy=policy, far=0.01)  # type: ignore[arg-type]
    takes = toy_people.spoken_to(WORD, PERSON, 4, base)
    found = enroll(base, WORD, takes, toy_people.negatives(), options)
    clips = tuple(take.sha256 for take in takes)
    return added(None, found, user="ana", base=base, named="encoder", options=options, clips=clips)


@pytest.fixture
def opened(tmp_path: Path) -> Package:
    from tests.export.exported import encoder_package

    return package.read(Path(shutil.copytree(encoder_package().folder, tmp_path / "package")))


def scored(bundle: Bundle, store: ClipStore) -> np.ndarray:
    return score_clips(bundle, store, np.arange(len(store))).values[:, bundle.labels.index(WORD)]


def at_a_gap(before: Profile, values: np.ndarray) -> Profile:
    """Puts the threshold where some clips pass and none is borderline."""
    ordered = np.sort(values)[5:-2]
    widest = int(np.diff(ordered).argmax())
    threshold = float(ordered[widest : widest + 2].mean())
    keyword = dataclasses.replace(before.keywords[WORD], threshold=threshold)
    return dataclasses.replace(before, keywords={WORD: keyword})


def part() -> Part:
    return moving.part_of(profile(), toy_people.encoder())


@pytest.mark.parametrize("policy", ["biased", "only"])
def test_a_person_decides_alike_on_the_bundle_the_package_and_back(opened: Package, policy: str) -> None:
    base, before = toy_people.encoder(), profile(policy)
    store = toy_people.joined(
        toy_people.crowd((WORD, "063"), (PERSON, 22), 5, first_take=300),
        toy_people.crowd(toy_people.WORDS[:6], (PERSON,), 2, first_take=300),
    )
    before = at_a_gap(before, scored(personal_bundle(before, base), store))
    personal.write_part(opened, moving.part_of(before, base))
    moved = personal.read_part(opened, "ana")
    after = moving.profile_with(moved, None, base, "encoder")
    bundles = {
        "float": personal_bundle(before, base),
        "package": packaged.packaged_bundle(opened, moved),
        "back": personal_bundle(after, base),
    }
    decided = {name: scored(b, store) >= b.thresholds[WORD] for name, b in bundles.items()}
    assert 0 < decided["float"].sum() < len(store)
    np.testing.assert_array_equal(decided["package"], decided["float"])
    np.testing.assert_array_equal(decided["back"], decided["float"])
    assert after.enrolled == before.enrolled
    assert after.keywords[WORD].threshold == before.keywords[WORD].threshold


def test_going_back_to_a_profile_that_has_it_all_adds_nothing() -> None:
    before, base = profile(), toy_people.encoder()
    after = moving.profile_with(moving.part_of(before, base), before, base, "encoder")
    assert after.deltas == before.deltas
    assert after.keywords == before.keywords


def test_a_sealed_part_opens_with_its_key_only(opened: Package) -> None:
    key = Key.from_passphrase("open sesame")
    path = personal.write_part(opened, part(), key)
    assert encryption.is_sealed(path.read_bytes())
    assert WORD.encode() not in path.read_bytes()
    assert personal.read_part(opened, "ana", key).keywords.keys() == {WORD}
    with pytest.raises(ProfileError, match="encrypted"):
        personal.read_part(opened, "ana")
    with pytest.raises(ProfileError, match="does not open"):
        personal.read_part(opened, "ana", Key.from_passphrase("wrong"))
    with pytest.raises(ProfileError, match="encrypted"):
        personal.write_part(opened, part())


def test_a_damaged_part_is_told(opened: Package) -> None:
    path = personal.write_part(opened, part())
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProfileError, match="digest"):
        personal.read_part(opened, "ana")
    path.write_bytes(b"nonsense")
    with pytest.raises(ProfileError, match="damaged"):
        personal.read_part(opened, "ana")


def test_a_person_of_another_base_is_refused(opened: Package) -> None:
    other = dataclasses.replace(part(), base_sha256="f" * 64)
    with pytest.raises(ProfileError, match=r"enrolled on bundle ffffffffffff"):
        personal.write_part(opened, other)
    with pytest.raises(ProfileError, match=r"enrolled on bundle ffffffffffff"):
        moving.profile_with(other, None, toy_people.encoder(), "encoder")


def test_an_unknown_person_is_told_with_the_nearest(opened: Package) -> None:
    personal.write_part(opened, part())
    with pytest.raises(ProfileError, match=r"Did you mean 'ana'"):
        personal.read_part(opened, "anna")
    with pytest.raises(InputError):
        personal.read_part(opened, "../ana")
