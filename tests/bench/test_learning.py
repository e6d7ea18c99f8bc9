"""The benches of what learning costs, on a few people who say words made of tones."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from kwsctl.bench import repeats
from kwsctl.bench.invertible import (
    KEEPINGS,
    Depth,
    InvertibleOptions,
    _depth,
    gradient_of,
    invertible,
)
from kwsctl.bench.invertible import build as build_network
from kwsctl.bench.quantized_training import QuantizedTrainingOptions, quantized_training, rounded
from kwsctl.bench.repeats import HeldOut
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning import train_options
from kwsctl.learning.train_options import TrainOptions
from kwsctl.progress import silent
from kwsctl.report import depth_picture
from kwsctl.report.learning_tables import invertible_table, quantized_training_table

from ..toy_people import WORDS, crowd, joined

TINY = TrainOptions(network={"width": 0.3}, epochs=2, batch_size=8, room_share=0.0, keep="last")


@pytest.fixture(scope="module")
def store() -> ClipStore:
    return joined(crowd(WORDS[:3], (0, 1, 2), 2), crowd(WORDS[:3], (20, 21), 3, "val"))


def shown(table: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_other_words_are_in_no_split(store: ClipStore) -> None:
    some = repeats.with_words(store, 2)
    assert {c.label for c in some.clips if c.split} == {"012", "345"}
    assert len(some) == len(store)
    for count in (1, 4):
        with pytest.raises(InputError, match=f"{count} of 3 words cannot be taken"):
            repeats.with_words(store, count)
    alone = joined(crowd(WORDS[:2], (0, 1), 1), crowd(WORDS[:2], (20,), 1, "val"))
    with pytest.raises(InputError, match="Fewer than two people are held out"):
        repeats.held_out(alone, TINY)


def test_accuracy_has_its_spread_over_seeds_and_its_interval_over_people() -> None:
    speakers = np.array(["a"] * 4 + ["b"] * 4)
    people = HeldOut(torch.zeros(8, 1, 1), torch.zeros(8, dtype=torch.long), speakers, ("x",))
    right = [np.array([1, 1, 1, 1, 0, 0, 0, 0.0]), np.array([1, 1, 1, 1, 1, 1, 0, 0.0])]
    found = repeats.accuracy(right, people)
    assert (found.mean, found.seeds, found.speakers, found.clips) == (0.625, 2, 2, 8)
    assert found.sd == pytest.approx(np.std([0.5, 0.75], ddof=1))
    assert found.low <= 0.3 and found.high >= 0.99


def test_a_network_that_is_there_is_not_trained_again(store: ClipStore, tmp_path: Path) -> None:
    some = repeats.with_words(store, 2)
    first = repeats.trained(some, TINY, 0, tmp_path, silent)
    files = sorted(tmp_path.glob("*.safetensors"))
    before = files[0].stat().st_mtime_ns
    assert repeats.trained(some, TINY, 0, tmp_path, silent).sha256 == first.sha256
    assert sorted(tmp_path.glob("*.safetensors"))[0].stat().st_mtime_ns == before
    repeats.trained(some, dataclasses.replace(TINY, precision="w8a8g8"), 0, tmp_path, silent)
    repeats.trained(some, TINY, 1, tmp_path, silent)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_network_of_other_defaults_is_another_network(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = repeats.with_words(store, 2)
    first = repeats.trained(some, TINY, 0, tmp_path, silent)
    monkeypatch.setitem(train_options.PEAK_RATE, "adamw", 0.5)
    assert repeats.trained(some, TINY, 0, tmp_path, silent).sha256 != first.sha256


def test_invertible(store: ClipStore, tmp_path: Path) -> None:
    options = InvertibleOptions(
        words=2,
        epochs=1,
        seeds=2,
        network={"blocks": (2, 2, 2), "channels": 8},
        batch_size=2,
        repeats=1,
        depths=(),
    )
    found = invertible(store, options, tmp_path)
    rows = {(row.arch, row.kind): row for row in found.rows}
    assert len(rows) == 7
    big = {kind: row for (arch, kind), row in rows.items() if arch == "revtcnet"}
    assert found.memory_ratio == big["ordinary"].activation_bytes / big["rebuilt"].activation_bytes > 2
    kept = [big[kind].activation_bytes for kind in ("kept", "checkpointed", "rebuilt")]
    assert kept == sorted(kept, reverse=True)
    assert big["rebuilt"].gradient_error < 1e-6 and big["kept"].gradient_error == 0
    assert (
        big["rebuilt"].macs == big["kept"].macs and big["rebuilt"].macs_backward > big["kept"].macs_backward
    )
    assert big["ordinary"].accuracy is not None and big["rebuilt"].accuracy is not None
    assert big["rebuilt"].accuracy.seeds == 2 and big["rebuilt"].accuracy.speakers == 2
    assert big["kept"].accuracy is None
    untrained = invertible(store, dataclasses.replace(options, seeds=0), tmp_path / "other")
    assert [row.activation_bytes for row in untrained.rows] == [row.activation_bytes for row in found.rows]
    assert all(row.accuracy is None for row in untrained.rows) and not (tmp_path / "other").exists()
    text = shown(invertible_table(found))
    assert "revbcresnet" in text and "Memory by depth" not in text
    depths = tuple(Depth(n, kind, 1000.0 * n, 10**6) for n in (6, 12) for kind in KEEPINGS)
    found = dataclasses.replace(found, depths=depths)
    assert "Memory by depth, batch of 2" in shown(invertible_table(found))
    depth_picture.draw(found, tmp_path / "depth.png")
    assert (tmp_path / "depth.png").stat().st_size > 5000


@pytest.mark.slow
def test_a_process_grows_with_depth_unless_activations_are_rebuilt() -> None:
    options = InvertibleOptions(batch_size=48)
    grown = {
        (n, kind): _depth(n, kind, options).process_bytes for n in (6, 48) for kind in ("kept", "rebuilt")
    }
    assert grown[48, "kept"] > 3 * grown[6, "kept"]
    deeper = {kind: grown[48, kind] - grown[6, kind] for kind in ("kept", "rebuilt")}
    assert deeper["rebuilt"] < 0.25 * deeper["kept"]  # weights and their gradients; pages of the heap vary


def test_the_same_seed_builds_the_same_network() -> None:
    one, same, other = (build_network("revtcnet", {"blocks": (1, 1, 1)}, seed) for seed in (0, 0, 1))
    batch = (torch.randn(2, 40, 98), torch.arange(2))
    assert torch.equal(gradient_of(one, batch), gradient_of(same, batch))
    assert not torch.equal(gradient_of(one, batch), gradient_of(other, batch))


def test_quantized_training(store: ClipStore, tmp_path: Path) -> None:
    options = QuantizedTrainingOptions(
        words=2,
        network={"width": 0.3},
        epochs=1,
        batch_size=8,
        seeds=2,
        estimators=("running", "in_hindsight"),
        few_bits=("w4a4g4",),
        few_bits_estimators=("in_hindsight",),
        few_bits_seeds=1,
        device_batches=(1,),
        device_steps=4,
        device_clips=1,
        unscaled_rates=(1.0, 1e4),
    )
    found = quantized_training(store, options, tmp_path)
    names = [(row.precision, row.estimator, row.accuracy.seeds) for row in found.rows]
    assert names == [
        ("fp32", "", 2), ("w8a8g8", "running", 2), ("w8a8g8", "in_hindsight", 2),
        ("w4a4g4", "in_hindsight", 1),
    ]  # fmt: skip
    moved = [row.moved_bytes for row in found.rows]
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert found.rows[0].difference == 0
    assert all(layer.ratio > layer.ratio_at_one > 1 for layer in found.layers if layer.name != "head")
    assert [(row.estimator, row.batch_size, row.weights, row.rate) for row in found.device] == [
        ("before", 0, "float", 1), ("", 1, "float", 1), ("running", 1, "float", 1),
        ("in_hindsight", 1, "float", 1), ("", 1, "folded", 1), ("in_hindsight", 1, "scaled", 1),
        ("in_hindsight", 1, "unscaled", 1), ("in_hindsight", 1, "unscaled", 1e4),
    ]  # fmt: skip
    assert {row.accuracy.seeds for row in found.device} == {2}
    assert found.device_clips_tested == 2 * 2 * 2
    assert found.device[3].range_lag > 0 == found.device[1].range_lag
    assert quantized_training(store, options, tmp_path) == found  # nothing is learned again
    text = shown(quantized_training_table(found))
    assert "unscaled, rate x 10000" in text
    assert "in_hindsight" in text and "blocks.2.conv_b" in text and "Learning on a device" in text


def test_a_quantized_bundle_is_tested_as_it_was_trained(store: ClipStore, tmp_path: Path) -> None:
    some = repeats.with_words(store, 2)
    made = repeats.trained(some, dataclasses.replace(TINY, precision="w3a3g8"), 0, tmp_path, silent)
    x = torch.randn(2, 40, made.n_frames)
    plain = repeats.trained(some, TINY, 0, tmp_path, silent)
    with torch.no_grad():
        assert not torch.allclose(rounded(made)(x), made.model()(x), atol=1e-3)
        assert torch.equal(rounded(plain)(x), plain.model()(x))
