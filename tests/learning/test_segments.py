"""A segment is the best window around, to the step; what was kept of a stream is heard as it was."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.features.augmentation import middle
from kwsctl.features.logmel import compress, mel_power
from kwsctl.learning.beginning import Beginning
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.segments import MARGIN, REACH, STEP, Segment, Segmenter
from kwsctl.streaming.ear import Ear
from kwsctl.streaming.torch_engine import TorchEngine
from tests import toy_people
from tests.learning.test_updating import known

BLOCK = 64


@functools.cache
def stream() -> NDArray[np.float32]:
    """The keyword twice, other words between, at places that no step of the stream meets."""
    words = [known().keyword, toy_people.WORDS[11], known().keyword, toy_people.WORDS[9]]
    pauses = [20_011, 23_333, 21_777, 19_999, 40_000]
    parts = [np.zeros(pauses[0], np.float32)]
    for number, (word, pause) in enumerate(zip(words, pauses[1:], strict=True)):
        parts += [toy_people.say(word, 1, 400 + number), np.zeros(pause, np.float32)]
    whole = np.concatenate(parts)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(whole))
    samples: NDArray[np.float32] = np.rint((whole + noise) * 32_768).astype(np.float32) / np.float32(32_768)
    return samples


def bundle() -> Bundle:
    return known().current


def ear() -> Ear[TorchEngine]:
    return Ear(TorchEngine(bundle()), block_frames=BLOCK)


def heard() -> list[Segment]:
    listening = ear()
    segmenter = Segmenter(listening, known().keyword)
    found = [one for said in listening.each(stream()) for one in segmenter.push(said)]
    return found + segmenter.flush()


def test_the_window_of_a_segment_is_the_best_around() -> None:
    power = mel_power(torch.from_numpy(stream())[None], bundle().features)[0]
    n_frames, hop_s = bundle().n_frames, bundle().features.hop_ms / 1000
    moved = []
    for one in heard():
        (margin,) = margins_of(bundle(), known().keyword, middle(one.power[None], n_frames))
        assert margin == pytest.approx(one.margin, abs=1e-3)
        assert one.power.shape[1] == n_frames + 2 * MARGIN
        first = round((one.time_s - bundle().features.window_ms / 1000) / hop_s) - n_frames + 1
        torch.testing.assert_close(one.power, power[:, first - MARGIN : first + n_frames + MARGIN])
        coarse = one.window * ear().stride
        moved.append(first - coarse)
        shifts = [coarse + shift for shift in range(-REACH, REACH + 1, STEP)]
        around = compress(torch.stack([power[:, at : at + n_frames] for at in shifts]))
        assert one.margin == pytest.approx(margins_of(bundle(), known().keyword, around).max(), abs=1e-3)
    assert any(moved) and all(abs(shift) <= REACH and shift % STEP == 0 for shift in moved)


def test_the_beginning_of_a_stream_is_heard_as_it_was_and_goes_on_where_it_ended() -> None:
    samples, half = stream(), 70_001
    kept = Beginning(toy_people.RATE_HZ, 0, BLOCK)
    for piece in np.array_split(samples[:half], 7):
        kept.keep(piece)
    assert kept.seconds == pytest.approx(half / 16_000)
    again, segmenter, found = kept.heard_by(TorchEngine(bundle()), known().keyword)
    assert again.samples == half
    found += [one for said in again.each(samples[half:]) for one in segmenter.push(said)]
    found += segmenter.flush()
    assert [(one.window, one.digest) for one in found] == [(one.window, one.digest) for one in heard()]
    assert len(found) >= 4


def test_a_beginning_that_was_heard_before_is_left_out() -> None:
    skipped = ear().reset(30_000)
    kept = Beginning(toy_people.RATE_HZ, 30_000, BLOCK)
    kept.keep(stream()[skipped:])
    again, segmenter, found = kept.heard_by(TorchEngine(bundle()), known().keyword)
    assert again.samples == len(stream())
    late = [(one.window, one.digest) for one in heard() if one.time_s > 3.6]
    assert [(one.window, one.digest) for one in found + segmenter.flush()][-len(late) :] == late
