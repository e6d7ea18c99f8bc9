"""From an enrolled keyword to a profile, and from a profile to a model that hears as it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kwsctl.bundle import Bundle
from kwsctl.errors import ProfileError
from kwsctl.features.logmel import POWER_FLOOR
from kwsctl.learning.enroll import Enrolled, EnrollOptions, enroll
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.personal import profile as profiles
from kwsctl.personal.enrolment import added, as_features, as_log, as_power
from kwsctl.personal.model import WithVoice, personal_bundle
from kwsctl.personal.person import Profile
from tests.toy_people import NEW_WORDS, WORDS, crowd, encoder, features, keyword_model, negatives, spoken_to

FIRST, SECOND = NEW_WORDS[:2]


def learned(
    word: str, base: Bundle, options: EnrollOptions, clips: int = 3, first_take: int = 100
) -> Enrolled:
    return enroll(base, word, spoken_to(word, 20, clips, base, first_take), negatives(), options)


def with_keyword(
    before: Profile | None,
    word: str,
    clips: int = 3,
    first_take: int = 100,
    base: Bundle | None = None,
    **how: object,
) -> Profile:
    base = base or encoder()
    options = EnrollOptions(method="prototype", **{"far": 0.02, **how})  # type: ignore[arg-type]
    current = profiles.apply(before, base) if before else base
    made = learned(word, current, options, clips, first_take)
    names = tuple(f"{word}-{first_take}-{n}" for n in range(clips))
    return added(before, made, user="ana", base=base, named="toys", options=options, clips=names)


def logits(
    bundle: Bundle, words: tuple[str, ...] = NEW_WORDS, who: tuple[int, ...] = (20, 22)
) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = bundle.model()(features(crowd(words, who, 2, "test", 700)))
    return found


def test_the_first_keyword_makes_a_profile() -> None:
    found = with_keyword(None, FIRST)
    assert (found.user, found.base, found.base_sha256) == ("ana", "toys", encoder().sha256)
    keyword = found.keywords[FIRST]
    assert (keyword.method, keyword.policy, keyword.clips, keyword.fusion) == ("prototype", "biased", 3, ())
    assert (keyword.far, keyword.fa_per_hour) == (0.02, None)
    assert keyword.expected["detection_rate"]["n"] == 3
    assert len(found.deltas) == 1 and found.centroids[FIRST].dtype == torch.float16
    assert found.enrolled == tuple(f"{FIRST}-100-{n}" for n in range(3))


def test_a_budget_in_an_hour_is_noted_as_one() -> None:
    keyword = with_keyword(None, FIRST, fa_per_hour=90.0).keywords[FIRST]
    assert (keyword.far, keyword.fa_per_hour) == (None, 90.0)


def test_a_second_keyword_stands_beside_the_first() -> None:
    one = with_keyword(None, FIRST)
    two = with_keyword(one, SECOND, clips=1)
    assert list(two.keywords) == [FIRST, SECOND] and list(two.centroids) == [FIRST, SECOND]
    assert two.keywords[FIRST] == one.keywords[FIRST]
    personal = personal_bundle(two, encoder())
    assert personal.labels == (FIRST, SECOND)
    before = logits(personal_bundle(one, encoder()))[:, 0]
    torch.testing.assert_close(logits(personal)[:, 0], before)
    # Three clips of the first keyword and one of the second tell of the voice.
    alone = with_keyword(None, SECOND, clips=1)
    mean = torch.nn.functional.normalize(3 * one.voice + alone.voice, dim=0)
    torch.testing.assert_close(two.voice, mean)


def test_enrolling_again_replaces_the_keyword_and_keeps_one_label() -> None:
    one = with_keyword(None, FIRST)
    again = with_keyword(one, FIRST, first_take=300)
    assert personal_bundle(again, encoder()).labels == (FIRST,)
    assert len(again.deltas) == 2 and again.deltas[1].added_labels == ()
    assert again.keywords[FIRST].threshold != one.keywords[FIRST].threshold
    assert len(again.enrolled) == 6
    repeated = with_keyword(one, FIRST)
    assert repeated.enrolled == one.enrolled


def test_it_survives_being_saved(tmp_path: Path) -> None:
    found = with_keyword(with_keyword(None, FIRST, policy="only"), SECOND)
    profiles.save(tmp_path, with_keyword(None, FIRST, policy="only"))
    profiles.save(tmp_path, found)
    again = profiles.load(tmp_path, "ana")
    assert again.keywords == found.keywords and again.enrolled == found.enrolled
    assert torch.equal(logits(personal_bundle(again, encoder())), logits(personal_bundle(found, encoder())))


def test_thresholds_are_the_persons_beside_those_of_the_base() -> None:
    base = keyword_model()
    found = with_keyword(None, WORDS[1], base=base)
    personal = personal_bundle(found, base)
    assert personal.labels == base.labels
    assert personal.thresholds == {**base.thresholds, WORDS[1]: found.keywords[WORDS[1]].threshold}
    assert personal.thresholds[WORDS[1]] != base.thresholds[WORDS[1]]
    assert personal.task == "keywords" and not isinstance(personal.model(), WithVoice)


def test_the_voice_is_added_to_the_rows_of_only_keywords_alone() -> None:
    found = with_keyword(with_keyword(None, FIRST), SECOND, policy="only")
    personal = personal_bundle(found, encoder())
    assert personal.only == (SECOND,)
    assert isinstance(personal.model(), WithVoice) and not isinstance(personal.network, WithVoice)
    plain = profiles.apply(found, encoder())
    after, before = logits(personal), logits(plain)
    assert torch.equal(after[:, 0], before[:, 0])
    with torch.no_grad():
        voice = encoder().model().speaker(features(crowd(NEW_WORDS, (20, 22), 2, "test", 700)))
    likeness = VOICE_WEIGHT * (voice @ found.voice - VOICE_OFFSET)
    torch.testing.assert_close(after[:, 1] - before[:, 1], likeness, atol=1e-4, rtol=1e-4)


def test_without_an_only_keyword_no_voice_is_heard() -> None:
    personal = personal_bundle(with_keyword(None, FIRST), encoder())
    assert personal.only == () and not isinstance(personal.model(), WithVoice)


def test_the_person_is_heard_above_the_threshold_and_other_words_are_not() -> None:
    personal = personal_bundle(with_keyword(None, FIRST, clips=5), encoder())
    scores = personal.probabilities(logits(personal, WORDS, (21, 23)))[:, 0]
    assert float((scores >= personal.thresholds[FIRST]).float().mean()) < 0.1


def test_another_base_is_refused() -> None:
    found = with_keyword(None, FIRST)
    other = dataclasses.replace(encoder(), lineage={"speakers": ["somebody"]})
    with pytest.raises(ProfileError, match=r"toys|another"):
        personal_bundle(found, other)


def test_clips_are_kept_in_steps_of_less_than_half_a_decibel_and_older_profiles_are_read() -> None:
    power = torch.logspace(-6, 4, 4000).reshape(1, 40, 100)
    kept = as_features(power)
    assert kept.dtype == torch.uint8
    off_db = 10 * (as_power(kept) / power).log10()[:, 4:]  # the first are near the floor
    assert float(off_db.abs().max()) < 0.25
    before = (power + POWER_FLOOR).log().to(torch.float16)
    assert float((as_log(before) - as_log(kept)).abs().max()) < 0.06
    torch.testing.assert_close(as_power(before), power, rtol=0.01, atol=1e-5)
    assert float(as_power(as_features(torch.zeros(1, 2, 2))).max()) == 0.0
