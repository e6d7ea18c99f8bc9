"""Words that the encoder never heard: who is tried on what, and the clips behind it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kwsctl.bench import new_words as bench
from kwsctl.bench import promises as kept_promises
from kwsctl.bench.new_words import new_words
from kwsctl.bench.people import gather, surroundings
from kwsctl.bench.promises import promises
from kwsctl.errors import InputError
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.enroll import Enrolled, EnrollOptions, enroll
from tests.bench.corpus import strangers, with_leftovers
from tests.toy_people import NEW_WORDS, PEOPLE, crowd, encoder, negatives


def test_people_are_the_clips_that_say_a_word_by_a_known_speaker() -> None:
    found = gather(with_leftovers(), encoder())
    assert len(found.takes) == 2 * 3 * 2
    assert set(found.words) == set(NEW_WORDS[:2]) and set(found.speakers) == {"s20", "s21", "s22"}
    assert found.features.shape == (12, 40, 98) and found.embeddings.shape == (12, 24)
    some = gather(with_leftovers(), encoder(), ("s20", "s22"))
    assert set(some.speakers) == {"s20", "s22"}


def test_the_four_kinds_of_clips_are_everything_and_disjoint() -> None:
    found = strangers()
    who, word = "s21", NEW_WORDS[0]
    kinds = [
        found.clips(who, word, 0),
        found.others(who, word),
        found.impostors(who, word),
        found.strangers(who, word),
    ]
    assert [len(kind) for kind in kinds] == [5, 10, 15, 30]
    assert sorted(np.concatenate(kinds).tolist()) == list(range(60))
    assert (found.speakers[kinds[0]] == who).all() and (found.words[kinds[0]] == word).all()
    assert found.clips(who, word, 0).tolist() == kinds[0].tolist()
    assert any(found.clips(who, word, seed).tolist() != kinds[0].tolist() for seed in (1, 2, 3))


def test_one_speaker_or_another_rate_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than two speakers"):
        gather(crowd(NEW_WORDS[:1], (20,), 2), encoder())
    with pytest.raises(InputError, match=r"8000 Hz, the model hears 16000 Hz"):
        gather(dataclasses.replace(with_leftovers(), rate_hz=8000), encoder())


def test_every_person_enrols_every_word_and_is_tried_on_all_other_clips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = strangers()
    enrolled: list[tuple[str, torch.Tensor]] = []

    def enrolment(base: object, word: str, power: torch.Tensor, *rest: object) -> Enrolment:
        enrolled.append((word, power))
        return Enrolment(base, word, power, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "Enrolment", enrolment)
    told: list[int] = []
    found = new_words(
        people, negatives(), words=NEW_WORDS, shots=3, method="prototype",
        progress=lambda done, total, **_: told.append(done),
    )  # fmt: skip
    assert (found.method, found.shots, found.people, found.words) == ("prototype", 3, 4, 3)
    assert told == list(range(1, 13)) and len(enrolled) == 12
    for kind, figures in found.figures.items():
        assert figures.targets == 12 * 2  # five clips, three of them enrolled
        wanted = 12 * 15 if "impostor" in kind else 12 * 30 if "other" in kind else 12 * 10
        assert figures.non_targets == wanted
        assert 0 <= figures.eer_low <= figures.eer <= figures.eer_high <= 1
        assert 0 <= figures.found_low <= figures.found <= figures.found_high <= 1
    # Words are told apart far better than by chance, also those of one person.
    assert found.figures["wrong word, other people"].eer < 0.35
    voice, word = found.figures["impostor, with voice"], found.figures["impostor, word only"]
    assert voice.eer <= word.eer + 0.05


@pytest.mark.parametrize(("snr_db", "rooms"), [(None, 1), (0.0, 2)])
def test_in_noise_stored_negatives_sound_in_the_room_of_the_clips_too(
    snr_db: float | None, rooms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_from: list[int] = []

    def enrolment(base: object, word: str, power: torch.Tensor, others: torch.Tensor, seed: int) -> Enrolment:
        learned_from.append(len(others))
        return Enrolment(base, word, power, others, seed)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "Enrolment", enrolment)
    alter = None if snr_db is None else surroundings(snr_db, 0)
    people = gather(crowd(NEW_WORDS[:2], PEOPLE[:3], 3, "test"), encoder(), alter=alter)
    new_words(people, negatives(), words=NEW_WORDS[:1], shots=2, method="prototype")
    assert learned_from == [rooms * len(negatives().labels)] * 3


def test_who_has_no_clip_left_to_be_tested_is_left_out() -> None:
    found = new_words(strangers(), negatives(), words=NEW_WORDS[:2], shots=4, method="prototype")
    assert found.figures["impostor, word only"].targets == 4 * 2 * 1


def test_promises_are_held_against_clips_that_were_not_enrolled() -> None:
    options = EnrollOptions(method="prototype", far=0.02)
    found = promises(strangers(), negatives(), words=NEW_WORDS[:2], shots=3, options=options)
    assert (found.shots, found.policy, found.people, found.words) == (3, "biased", 4, 2)
    assert len(found.cases) == 8 and found.methods == {"prototype": 8}
    for one in found.cases:
        assert one.tests == 2 and one.found in (0.0, 0.5, 1.0)
        assert one.low <= one.promised <= one.high
    kept = np.mean([one.low <= one.found <= one.high for one in found.cases])
    assert found.inside == pytest.approx(kept) and found.inside_low <= found.inside <= found.inside_high
    assert found.promised == pytest.approx(np.mean([one.promised for one in found.cases]))
    assert found.found == pytest.approx(np.mean([one.found for one in found.cases]))
    assert found.wrong_other < 0.2 and found.budget == 0.02


def test_voices_count_in_promises_of_only() -> None:
    options = EnrollOptions(method="prototype", far=0.02, policy="only")
    found = promises(strangers(), negatives(), words=NEW_WORDS[:1], shots=3, options=options)
    assert found.policy == "only" and len(found.cases) == 4
    assert 0 <= found.impostors <= 1


def test_methods_that_change_the_network_are_heard_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = EnrollOptions(method="prototype", far=0.3)
    turned = {"word.project.weight": -2 * encoder().weights["word.project.weight"]}  # embeddings point away
    plain = promises(strangers(), negatives(), words=NEW_WORDS[:1], shots=3, options=options)

    def away(*arguments: object) -> Enrolled:
        made = enroll(*arguments)  # type: ignore[arg-type]
        changes = {**made.delta.changes, **turned}
        return dataclasses.replace(made, delta=dataclasses.replace(made.delta, changes=changes))

    monkeypatch.setattr(kept_promises, "enroll", away)
    found = promises(strangers(), negatives(), words=NEW_WORDS[:1], shots=3, options=options)
    assert found.found == 0.0 < plain.found
