"""The room that clips were recorded in, found in the clips, and other words as they would sound there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kwsctl.audio.mixing import mix_at_snr
from kwsctl.data import noises
from kwsctl.features.logmel import mel_power
from kwsctl.learning.enrolment_clips import take
from kwsctl.learning.enrolment_material import in_both_rooms
from kwsctl.learning.surroundings import STRETCH_FRAMES, STRETCHES, Room, as_beside, beside, is_knock
from tests.toy_people import NEW_WORDS, PEOPLE, RATE_HZ, SPEC, crowd, encoder, features, say

WORD = NEW_WORDS[0]


def noise() -> np.ndarray:
    return noises.KINDS["pink"](np.random.default_rng(0), 2 * RATE_HZ).astype(np.float32)


def clips(snr_db: float | None, count: int = 3) -> Tensor:
    """[K, F, T'] of a person; the window is longer than the clip, and filled up with zeros."""
    draw = np.random.default_rng(1)
    said = [say(WORD, PEOPLE[0], 100 + n) for n in range(count)]
    heard = said if snr_db is None else [mix_at_snr(wave, noise(), snr_db, draw) for wave in said]
    return torch.stack([take(wave, encoder(), Path("a.wav"), "0").power for wave in heard])


def others() -> Tensor:
    return features(crowd(("345", "670"), (21,), 2))


def test_a_quiet_room_is_not_heard_and_a_loud_one_is() -> None:
    assert beside(clips(40.0)) is None
    room = beside(clips(0.0))
    assert room is not None and room.shape == (3 * STRETCHES, 40, STRETCH_FRAMES)


def test_the_room_is_what_was_recorded_and_not_the_zeros_around_a_clip() -> None:
    power = clips(0.0)
    assert float(power.sum(1).min()) == 0.0
    room = beside(power)
    assert room is not None
    # The same noise at the same level without speech: bin by bin within 3 dB.
    level = np.sqrt(np.mean(np.square(say(WORD, PEOPLE[0], 100))) / np.mean(np.square(noise())))
    alone = mel_power(torch.from_numpy(level * noise())[None], SPEC)[0].mean(1)
    off_db = 10 * (room.mean((0, 2)) / alone).log10()
    assert float(off_db.abs().mean()) < 3


def test_clips_that_hold_no_pause_tell_nothing() -> None:
    assert beside(torch.ones(2, 40, 20)) is None
    assert beside(torch.zeros(2, 40, 100)) is None


def test_other_words_sound_as_loud_as_the_clips_and_their_pauses_are_the_room() -> None:
    power = clips(0.0)
    room = beside(power)
    assert room is not None
    found = as_beside(others(), power, room, torch.Generator().manual_seed(0)).exp()
    assert found.shape == others().shape and torch.isfinite(found).all()
    pauses = found.mean(1).quantile(0.05, dim=1).mean()
    assert 0.5 < float(pauses / room.mean()) < 2
    loud = found.mean(1).quantile(0.9, dim=1).median()
    assert 0.5 < float(loud / power.mean(1).quantile(0.9, dim=1).median()) < 2


@pytest.mark.parametrize(("snr_db", "rooms"), [(None, 1), (0.0, 2)])
def test_negatives_sound_in_two_rooms_where_the_second_can_be_heard(snr_db: float | None, rooms: int) -> None:
    given = others()
    found = in_both_rooms(given, clips(snr_db), 0)
    assert len(found) == rooms and found[0] is given
    assert all(torch.equal(a, b) for a, b in zip(found, in_both_rooms(given, clips(snr_db), 0), strict=True))


def test_knocks_belong_to_a_room_where_there_are_many() -> None:
    """Dishes and keys are loud and short; the quietest stretches lack them, and words are longer."""

    def heard(knock_frames: int, every: int) -> torch.Tensor:
        level = 1e-3 * torch.ones(40, 5_000)
        for first in range(12, 5_000 - knock_frames, every):
            level[:, first : first + knock_frames] = 1.0
        room = Room()
        room.push(level)
        found = room.recorded()
        assert found is not None
        return found.amax((1, 2))

    assert float((heard(5, 40) == 1.0).float().mean()) > 0.5
    assert float(heard(20, 400).max()) < 1.0  # words now and then
    assert float(heard(5, 2_000).max()) < 1.0  # a door, once


def test_silence_is_no_knock() -> None:
    assert not is_knock(torch.zeros(40, 40))
    assert not is_knock(torch.ones(40, 40))


def test_what_swells_is_no_knock() -> None:
    sudden, swelling = torch.full((2, 40, 40), 1e-3)
    sudden[:, 20:26] = torch.tensor([1.0, 0.7, 0.5, 0.3, 0.2, 0.1])
    swelling[:, 20:26] = sudden[:, 20:26].flip(1)
    assert is_knock(sudden) and not is_knock(swelling)


def test_a_word_that_ends_like_a_knock_in_every_other_stretch_makes_no_kitchen() -> None:
    """Somebody who says the keyword all day must not make a quiet room a loud one."""
    level = 1e-3 * torch.ones(40, 10_000)
    for first in range(12, 10_000, 1_000):
        level[:, first : first + 5] = 1.0
    room = Room()
    room.push(level)
    found = room.recorded()
    assert found is not None and float(found.max()) < 1.0
