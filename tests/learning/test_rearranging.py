"""Negatives out of a person's own clips: all sounds of the clip, in an order that is not the word's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from kwsctl.learning.rearranging import rearranged

FRAMES = 100


def clip(frames: int = FRAMES, first: int = 0) -> Tensor:
    """A clip whose frames are numbered."""
    numbers = torch.arange(first, first + frames, dtype=torch.float32)
    return numbers.expand(4, frames)


def made(*args: object, seed: int = 0) -> Tensor:
    return rearranged(*args, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_the_frames_are_those_of_the_clip_in_another_order() -> None:
    found = made([clip()], [(20, 80)], FRAMES, 40)
    assert found.shape == (40, 4, FRAMES)
    for one in found:
        order = one[0].tolist()
        assert sorted(order) == list(range(FRAMES))
        assert order != list(range(FRAMES))
        assert (one == one[:1]).all()  # all bins move together
        assert order[:20] == list(range(20)) and order[80:] == list(range(80, 100))


def test_speech_is_cut_into_three_to_five_pieces_that_stay_whole() -> None:
    counts = set()
    for one in made([clip()], [(10, 90)], FRAMES, 60):
        speech = one[0, 10:90].numpy()
        jumps = int((np.diff(speech) != 1).sum())
        counts.add(jumps + 1)
    # Pieces that end up side by side as they were count as one.
    assert counts <= {2, 3, 4, 5} and {3, 5} <= counts


def test_no_two_are_cut_alike_and_the_same_draw_gives_the_same() -> None:
    found = made([clip()], [(20, 80)], FRAMES, 20)
    assert len({tuple(one[0].tolist()) for one in found}) >= 18
    assert torch.equal(found, made([clip()], [(20, 80)], FRAMES, 20))
    assert not torch.equal(found, made([clip()], [(20, 80)], FRAMES, 20, seed=1))


def test_every_clip_gives_some_and_none_is_mixed_with_another() -> None:
    found = made([clip(), clip(first=1000), clip(first=2000)], [(20, 80)] * 3, FRAMES, 30)
    origins = [set((one[0] // 1000).int().tolist()) for one in found]
    assert all(len(origin) == 1 for origin in origins)
    assert set().union(*origins) == {0, 1, 2}


@pytest.mark.parametrize("speech", [(50, 50), (48, 52), (45, 54), (0, 3)])
def test_words_too_short_to_be_cut_swap_the_halves_of_the_clip(speech: tuple[int, int]) -> None:
    for one in made([clip()], [speech], FRAMES, 10):
        order = one[0].tolist()
        assert sorted(order) == list(range(FRAMES)) and order != list(range(FRAMES))


def test_longer_clips_are_cut_around_their_middle() -> None:
    found = made([clip(116)], [(30, 80)], FRAMES, 5)
    assert found.shape == (5, 4, FRAMES)
    for one in found:
        assert sorted(one[0].tolist()) == list(range(8, 108))


def test_the_loud_pieces_change_their_order_not_just_a_quiet_one() -> None:
    # A closure of 15 frames between two syllables: moving it alone leaves the word what it is.
    loud = clip().clone()
    loud[:, 45:60] *= 1e-4
    for one in made([loud], [(20, 80)], FRAMES, 60):
        kept = one[0][one[0] >= 1].tolist()
        assert kept != sorted(kept)


def test_a_word_of_one_loud_piece_is_rearranged_all_the_same() -> None:
    vowel = clip() * 1e-4
    vowel[:, 20:30] = clip()[:, 20:30]
    found = made([vowel], [(20, 80)], FRAMES, 10)
    assert all(not torch.equal(one, vowel) for one in found)
