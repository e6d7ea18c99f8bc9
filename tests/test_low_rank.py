"""Changes of weights that are kept as two thin matrices."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kwsctl import bundle
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import BundleError
from kwsctl.types import FeatureSpec

WEIGHT = "trunk.weight"


@pytest.fixture
def base() -> Bundle:
    draw = torch.Generator().manual_seed(0)
    weights = {
        WEIGHT: torch.randn(6, 4, 3, generator=draw),
        "head.weight": torch.randn(2, 6, generator=draw),
        "head.bias": torch.zeros(2),
    }
    return Bundle("tcresnet", {}, FeatureSpec(), ("yes", "no"), "keywords", 1.0, weights)


def thin(rows: int, rank: int, columns: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        f"{WEIGHT}:up": torch.randn(rows, rank, generator=draw),
        f"{WEIGHT}:down": torch.randn(rank, columns, generator=draw),
    }


def test_their_product_is_added_in_the_shape_of_the_weight(base: Bundle) -> None:
    changes = thin(6, 2, 12)
    changed = base.with_delta(Delta(base.sha256, changes))
    product = changes[f"{WEIGHT}:up"] @ changes[f"{WEIGHT}:down"]
    torch.testing.assert_close(changed.weights[WEIGHT], base.weights[WEIGHT] + product.view(6, 4, 3))
    assert changed.weights.keys() == base.weights.keys()
    assert torch.equal(changed.weights["head.weight"], base.weights["head.weight"])


def test_they_go_along_with_plain_changes_and_new_labels(base: Bundle) -> None:
    changes = thin(6, 2, 12) | {"head.weight": torch.ones(3, 6), "head.bias": torch.ones(3)}
    changed = base.with_delta(Delta(base.sha256, changes, ("maybe",)))
    assert changed.labels == ("yes", "no", "maybe")
    assert changed.weights["head.weight"][2].tolist() == [1.0] * 6
    alone = base.with_delta(Delta(base.sha256, thin(6, 2, 12)))
    assert torch.equal(changed.weights[WEIGHT], alone.weights[WEIGHT])


def test_a_file_keeps_them_thin(base: Bundle, tmp_path: Path) -> None:
    delta = Delta(base.sha256, thin(6, 2, 12), n_clips=3, made_by={"method": "lora"})
    bundle.save_delta(delta, tmp_path / "d.safetensors")
    again = bundle.load_delta(tmp_path / "d.safetensors")
    assert again.changes.keys() == delta.changes.keys()
    assert base.with_delta(again).sha256 == base.with_delta(delta).sha256


UP, DOWN = f"{WEIGHT}:up", f"{WEIGHT}:down"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (thin(6, 2, 11), "trunk.weight"),  # of too few columns
        (thin(5, 2, 12), "trunk.weight"),  # of too few rows
        (thin(12, 2, 6), "trunk.weight"),  # as many numbers, but of other outputs
        ({"head.bias:up": torch.zeros(3, 1), "head.bias:down": torch.zeros(1, 1)}, "head.bias"),
        (thin(6, 2, 12) | {DOWN: torch.zeros(3, 12)}, "trunk.weight"),  # of another rank
        ({UP: torch.zeros(6, 2)}, "trunk.weight"),  # one of the two is missing
        ({DOWN: torch.zeros(2, 12)}, "trunk.weight"),
        (
            {"other.weight:up": torch.zeros(6, 2), "other.weight:down": torch.zeros(2, 12)},
            "'other.weight', which",
        ),
    ],
    ids=["columns", "rows", "turned", "vector", "rank", "up alone", "down alone", "unknown weight"],
)
def test_matrices_that_do_not_fit_are_an_error(
    base: Bundle, changes: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        base.with_delta(Delta(base.sha256, changes))
    assert "\n" not in str(caught.value)


def test_what_was_made_on_another_bundle_is_refused(base: Bundle) -> None:
    other = dataclasses.replace(base, labels=("yes", "maybe"))
    with pytest.raises(BundleError, match="made on bundle"):
        other.with_delta(Delta(base.sha256, thin(6, 2, 12)))
