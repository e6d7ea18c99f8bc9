"""Training that begins with the weights of another bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kwsctl import bundle
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions

from ..toy_words import toy_store

QUICK = TrainOptions(
    network={"width": 0.5, "dropout": 0.0}, epochs=1, batch_size=16, ema_decay=0.0, learning_rate=1e-9
)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return toy_store(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of one of the words, trained a little."""
    folder = tmp_path_factory.mktemp("other")
    store = toy_store(folder, words=("rise",))
    how = dataclasses.replace(QUICK, task="keywords", learning_rate=0.01)
    return bundle.load(train(store, folder / "m.safetensors", how, seed=3).bundle)


def test_weights_and_rows_of_shared_labels_are_those_of_the_start(
    words: ClipStore, other: Bundle, tmp_path: Path
) -> None:
    result = train(words, tmp_path / "m.safetensors", QUICK, start=other)  # its steps are too small to see
    made = bundle.load(result.bundle)
    assert made.lineage["parent"] == other.sha256
    convolutions = [name for name, weight in made.weights.items() if weight.ndim == 3]
    assert len(convolutions) > 5
    for name in convolutions:
        torch.testing.assert_close(made.weights[name], other.weights[name], atol=1e-5, rtol=0)
    row, was = made.labels.index("rise"), other.labels.index("rise")
    torch.testing.assert_close(made.weights["head.weight"][row], other.weights["head.weight"][was])
    assert "fall" not in other.labels


def test_another_start_is_another_run(words: ClipStore, other: Bundle, tmp_path: Path) -> None:
    fresh = train(words, tmp_path / "fresh.safetensors", QUICK)
    begun = train(words, tmp_path / "begun.safetensors", QUICK, start=other)
    runs = {bundle.load(result.bundle).lineage["run"] for result in (fresh, begun)}
    assert len(runs) == 2
    assert "parent" not in bundle.load(fresh.bundle).lineage


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "dscnn", "network": {}}, "tcresnet .* not dscnn"),
        ({"network": {"width": 1.0}}, "not tcresnet"),
        ({"features": dataclasses.replace(QUICK.features, f_min_hz=80.0)}, "other features"),
    ],
)
def test_a_start_of_another_network_is_refused(
    words: ClipStore, other: Bundle, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(words, tmp_path / "m.safetensors", dataclasses.replace(QUICK, **change), start=other)  # type: ignore[arg-type]
