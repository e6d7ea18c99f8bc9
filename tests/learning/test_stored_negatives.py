"""Negatives kept as features of eight bits: what comes back, and files that are no good."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from kwsctl.data.windows import cut
from kwsctl.errors import BundleError
from kwsctl.features.logmel import POWER_FLOOR
from kwsctl.learning import stored_negatives
from kwsctl.learning.stored_negatives import LEVELS, collect, spread
from tests.toy_people import SPEC, WORDS, crowd, features, negatives

FRAMES = SPEC.frames(1.0)
SILENCE = math.log(POWER_FLOOR)


def test_features_come_back_within_half_a_level() -> None:
    store = crowd(WORDS[:3], (0, 1), 2)
    windows = cut(store, store.where(), {}, frozenset(WORDS), 1.0)
    kept = collect(store, windows, SPEC, ("tones, CC0",))
    wanted = features(store)
    half = (kept.high - kept.low) / LEVELS / 2
    assert float((kept.features(FRAMES) - wanted).abs().max()) <= half * 1.001
    assert (kept.low, kept.high) == (float(wanted.min()), float(wanted.max()))
    assert half < 0.05  # of a natural logarithm: 0.2 dB of power
    assert kept.levels.dtype == torch.uint8
    assert list(kept.labels) == [clip.label for clip in store.clips]
    assert list(kept.speakers) == [clip.speaker for clip in store.clips]


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    kept = negatives()
    kept.save(tmp_path / "n.negatives")
    again = stored_negatives.load(tmp_path / "n.negatives")
    assert torch.equal(again.levels, kept.levels)
    assert (again.low, again.high, again.spec) == (kept.low, kept.high, kept.spec)
    assert list(again.labels) == list(kept.labels) and list(again.speakers) == list(kept.speakers)
    assert list(again.sources) == ["tones, CC0"]
    first = (tmp_path / "n.negatives").read_bytes()
    again.save(tmp_path / "n.negatives")
    assert (tmp_path / "n.negatives").read_bytes() == first


def test_rows_are_chosen_in_their_order() -> None:
    kept = negatives()
    assert torch.equal(kept.features(FRAMES, [5, 0]), kept.features(FRAMES)[[5, 0]])
    assert kept.features(FRAMES, []).shape == (0, SPEC.mel_bins, FRAMES)


@pytest.mark.parametrize(("n_frames", "before"), [(FRAMES + 20, 10), (FRAMES + 21, 10), (FRAMES, 0)])
def test_longer_windows_are_filled_up_with_silence(n_frames: int, before: int) -> None:
    found, whole = negatives().features(n_frames, [3]), negatives().features(FRAMES, [3])
    assert found.shape[2] == n_frames
    assert torch.equal(found[:, :, before : before + FRAMES], whole)
    torch.testing.assert_close(found[:, :, :before], torch.full_like(found[:, :, :before], SILENCE))
    rest = found[:, :, before + FRAMES :]
    torch.testing.assert_close(rest, torch.full_like(rest, SILENCE))


def test_shorter_windows_are_cut_around_the_middle() -> None:
    found, whole = negatives().features(60, [3]), negatives().features(FRAMES, [3])
    assert torch.equal(found, whole[:, :, 19:79])


def test_chosen_rows_take_turns_among_the_labels() -> None:
    labels = ["a"] * 50 + ["b"] * 3 + ["c"] * 2
    order = np.random.default_rng(0).permutation(len(labels))
    assert Counter(labels[i] for i in spread(labels, 9, order)) == {"a": 4, "b": 3, "c": 2}
    assert spread(labels, 9, order) == sorted(set(spread(labels, 9, order)))
    assert spread(labels, 1000, order) == list(range(len(labels)))
    assert len(spread(labels, 2, order)) == 2


HEADER = {
    "format": 1,
    "kind": "negatives",
    "low": 0.0,
    "high": 1.0,
    "labels": [],
    "speakers": [],
    "sources": [],
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no stored negatives"),
        (b"RIFF....WAVE", "holds no stored negatives"),
        (safetensors.torch.save({"w": torch.zeros(1)}), "holds no stored negatives: 'kwsctl'"),
        (safetensors.torch.save({"levels": torch.zeros(1)}, {"kwsctl": "{"}), "holds no stored negatives"),
        (
            safetensors.torch.save({"levels": torch.zeros(1)}, {"kwsctl": json.dumps(HEADER)}),
            "holds no stored negatives: 'spec'",
        ),
        (
            safetensors.torch.save(
                {"levels": torch.zeros(1)}, {"kwsctl": json.dumps(HEADER | {"format": 9})}
            ),
            "is a negatives of format 9",
        ),
        (
            safetensors.torch.save(
                {"levels": torch.zeros(1)}, {"kwsctl": json.dumps(HEADER | {"kind": "delta"})}
            ),
            "is a delta of format 1",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.negatives"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=message) as caught:
        stored_negatives.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) and caught.value.hint


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nothing\.negatives holds no stored negatives"):
        stored_negatives.load(tmp_path / "nothing.negatives")
