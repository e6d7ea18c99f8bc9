"""The model file: identity, refusals, and changes on top of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kwsctl import architecture, bundle
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import BundleError
from kwsctl.types import FeatureSpec


@pytest.fixture
def small() -> Bundle:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = architecture.build("tcresnet", {"width": 0.5}, 3, 40)
    return Bundle(
        arch="tcresnet",
        config={"width": 0.5},
        features=FeatureSpec(),
        labels=("no", "yes", "_unknown_"),
        task="keywords",
        clip_s=1.0,
        weights=model.state_dict(),
        thresholds={"yes": 0.7},
        lineage={"speakers": ["ada"]},
    )


def test_round_trip_keeps_everything(small: Bundle, tmp_path: Path) -> None:
    sha256 = small.save(tmp_path / "m.safetensors")
    again = bundle.load(tmp_path / "m.safetensors")
    assert again.sha256 == sha256 == small.sha256
    assert (again.labels, again.thresholds, again.lineage) == (small.labels, small.thresholds, small.lineage)
    x = torch.randn(2, 40, small.n_frames)
    assert torch.equal(again.model()(x), small.model()(x))


def test_the_network_to_be_asked_is_built_once_and_frozen(small: Bundle) -> None:
    x = torch.randn(2, 40, small.n_frames)
    assert small.network is small.network
    assert torch.equal(small.network(x), small.model()(x))
    assert not small.network.training
    assert not any(weight.requires_grad for weight in small.network.parameters())
    with torch.no_grad():  # what is built to be changed shares nothing with it
        for weight in small.model().parameters():
            weight.zero_()
    assert torch.equal(small.network(x), small.model()(x))


def test_equal_content_gives_equal_bytes(small: Bundle) -> None:
    shuffled = dataclasses.replace(small, weights=dict(reversed(list(small.weights.items()))))
    assert shuffled.to_bytes() == small.to_bytes()
    assert dataclasses.replace(small, thresholds={"yes": 0.8}).sha256 != small.sha256


def test_probabilities_follow_the_task(small: Bundle) -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    assert small.probabilities(logits)[0].tolist() == pytest.approx([1 / 3] * 3)
    wake = dataclasses.replace(small, task="wake")
    assert wake.probabilities(logits)[0].tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a kwsctl bundle"),
        (b"RIFF....WAVE", "is not a kwsctl bundle"),
        (safetensors.torch.save({"w": torch.zeros(1)}), "is not a kwsctl bundle"),
        (safetensors.torch.save({"w": torch.zeros(1)}, {"kwsctl": "{"}), "is not a kwsctl bundle"),
        (
            safetensors.torch.save({}, {"kwsctl": json.dumps({"format": 99, "kind": "bundle"})}),
            "has format 99, this kwsctl reads up to 1",
        ),
        (
            safetensors.torch.save({}, {"kwsctl": json.dumps({"format": 1, "kind": "delta"})}),
            "holds a delta, not a bundle",
        ),
        (
            safetensors.torch.save({}, {"kwsctl": json.dumps({"format": 1, "kind": "bundle"})}),
            "lacks or garbles a field: 'arch'",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=message) as caught:
        bundle.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_every_truncation_is_refused(small: Bundle, tmp_path: Path) -> None:
    content = small.to_bytes()
    path = tmp_path / "cut.safetensors"
    for size in (1, 7, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(BundleError):
            bundle.load(path)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"There is no bundle file .*kwsctl train"):
        bundle.load(tmp_path / "none.safetensors")


def test_weights_of_another_shape_are_refused(small: Bundle) -> None:
    with pytest.raises(BundleError, match="do not fit tcresnet with 2 labels"):
        dataclasses.replace(small, labels=("a", "b")).model()


def test_delta_changes_what_it_names_and_nothing_else(small: Bundle) -> None:
    bias = small.weights["head.bias"]
    changed = small.with_delta(Delta(small.sha256, {"head.bias": torch.full_like(bias, 0.25)}))
    assert torch.equal(changed.weights["head.bias"], bias + 0.25)
    assert all(torch.equal(changed.weights[k], v) for k, v in small.weights.items() if k != "head.bias")
    assert changed.lineage["parent"] == small.sha256


def test_delta_grows_the_head_by_a_label(small: Bundle) -> None:
    rows = torch.zeros(4, small.weights["head.weight"].shape[1])
    rows[3] = 1.0
    delta = Delta(
        small.sha256, {"head.weight": rows, "head.bias": torch.zeros(4)}, added_labels=("open sesame",)
    )
    grown = small.with_delta(delta)
    x = torch.randn(2, 40, small.n_frames)
    assert grown.labels[-1] == "open sesame"
    torch.testing.assert_close(grown.model()(x)[:, :3], small.model()(x))


def test_delta_of_another_base_is_refused(small: Bundle) -> None:
    with pytest.raises(BundleError, match="was made on bundle 000000000000"):
        small.with_delta(Delta("0" * 64, {}))


def test_delta_that_does_not_fit_is_refused(small: Bundle) -> None:
    with pytest.raises(BundleError, match="'nose', which this bundle does not have"):
        small.with_delta(Delta(small.sha256, {"nose": torch.zeros(1)}))
    with pytest.raises(BundleError, match=r"'head.bias' has shape \(7,\)"):
        small.with_delta(Delta(small.sha256, {"head.bias": torch.zeros(7)}))


def test_delta_round_trip(small: Bundle, tmp_path: Path) -> None:
    delta = Delta(small.sha256, {"head.bias": torch.ones(3)}, ("x",), 5, {"method": "bias"})
    bundle.save_delta(delta, tmp_path / "d.safetensors")
    again = bundle.load_delta(tmp_path / "d.safetensors")
    assert torch.equal(again.changes["head.bias"], torch.ones(3))
    assert dataclasses.replace(again, changes=delta.changes) == delta
    with pytest.raises(BundleError, match="holds a delta, not a bundle"):
        bundle.load(tmp_path / "d.safetensors")
