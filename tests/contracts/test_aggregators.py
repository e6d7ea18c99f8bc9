"""What every aggregator promises, checked for each file in `federated/aggregators/`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Delta
from kwsctl.errors import ExtensionError
from kwsctl.federated.layout import layout_of
from kwsctl.federated.session import AGGREGATORS

NAMES = registry.names(AGGREGATORS)
FILES = {name: registry.load(AGGREGATORS, name) for name in NAMES}
every = pytest.mark.parametrize("name", NAMES)


def delta(values: Tensor, clips: int = 10, client: str = "a", steps: int = 4) -> Delta:
    changes = {"head.weight": values[:6].view(2, 3), "head.bias": values[6:8]}
    return Delta("base", changes, (), clips, {"client": client, "steps": steps})


def crowd(count: int, seed: int = 0) -> list[Delta]:
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(8, generator=draw)
    rows = centre + 0.1 * torch.randn(count, 8, generator=draw)
    return [delta(row, 10 + 3 * k, f"c{k}", 2 + k) for k, row in enumerate(rows)]


def run(name: str, deltas: list[Delta], state: Any = None, **options: Any) -> tuple[Tensor, Any]:
    file = FILES[name]
    found, after = file.aggregate(deltas, state or {}, file.Options(**options))
    assert found.base_sha256 == "base"
    assert found.n_clips == sum(one.n_clips for one in deltas)
    assert {k: v.shape for k, v in found.changes.items()} == {
        k: v.shape for k, v in deltas[0].changes.items()
    }
    return layout_of(found.changes).vector(found.changes), after


def test_the_folder_is_the_list() -> None:
    plain = ("fedadagrad", "fedadam", "fedavgm", "fednova", "fedyogi", "mean")
    assert set(NAMES) == {
        *plain,
        "geometric_median",
        "krum",
        "median",
        "multi_krum",
        "norm_bounded",
        "trimmed_mean",
    }
    with pytest.raises(ExtensionError, match=r"No aggregators named 'fedadm'. Did you mean 'fedadam'\?"):
        registry.load(AGGREGATORS, "fedadm")


@every
@given(seed=st.integers(0, 1000))
def test_the_order_of_clients_is_of_no_matter(name: str, seed: int) -> None:
    deltas = crowd(7, seed)
    one, _ = run(name, deltas)
    other, _ = run(name, deltas[::-1])
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@every
def test_no_changes_are_no_change(name: str) -> None:
    zeros = [delta(torch.zeros(8), client=f"c{k}") for k in range(5)]
    found, state = run(name, zeros)
    assert not found.any()
    assert not run(name, zeros, state)[0].any()


@every
def test_one_client_is_given_back_unless_earlier_rounds_count(name: str) -> None:
    alone = crowd(1)
    found, _ = run(name, alone)
    own = layout_of(alone[0].changes).vector(alone[0].changes)
    if not FILES[name].STATEFUL:
        torch.testing.assert_close(found, own)
    else:
        assert float(torch.nn.functional.cosine_similarity(found, own, dim=0)) > 0.5


@every
def test_clips_count_where_it_says_so(name: str) -> None:
    few, many = delta(torch.ones(8), 1, "few"), delta(-torch.ones(8), 9, "many")
    even, _ = run(name, [delta(torch.ones(8), 5, "few"), delta(-torch.ones(8), 5, "many"), crowd(1)[0]])
    uneven, _ = run(name, [few, many, crowd(1)[0]])
    assert (not torch.allclose(even, uneven, atol=1e-4)) == FILES[name].WEIGHTED


@every
def test_a_liar_moves_robust_ones_little_and_the_others_far(name: str) -> None:
    honest = crowd(9)
    clean, _ = run(name, honest)
    lie = delta(-1000 * torch.ones(8), 30, "liar")
    moved = float((run(name, [*honest, lie])[0] - clean).norm())
    if FILES[name].ROBUST:
        # A bounded mean gives the liar one bounded voice of ten, by clips 30 of 228.
        assert moved < 0.5 * float(clean.norm())
    elif not name.startswith(("fedad", "fedyogi")):  # adaptive steps are bounded, their direction is not
        assert moved > 100
    else:
        assert float(torch.nn.functional.cosine_similarity(run(name, [*honest, lie])[0], clean, dim=0)) < 0.9


@every
def test_what_works_behind_sums_needs_the_mean_alone(name: str) -> None:
    """Two crowds of the same mean give the same result exactly where the file says LINEAR."""
    rows = torch.stack([layout_of(d.changes).vector(d.changes) for d in crowd(6)])
    wide = rows + torch.tensor([1.0, -1.0, 2.0, -2.0, 0.5, -0.5])[:, None]
    one, _ = run(name, [delta(r, 10, f"c{k}", k + 1) for k, r in enumerate(rows)])
    other, _ = run(name, [delta(r, 10, f"c{k}", k + 1) for k, r in enumerate(wide)])
    assert torch.allclose(one, other, atol=1e-4) == FILES[name].LINEAR


@pytest.mark.parametrize("name", [n for n in NAMES if FILES[n].ROBUST])
def test_robust_ones_tell_how_much_of_whom_they_took(name: str) -> None:
    file = FILES[name]
    lie = delta(-1000 * torch.ones(8), 10, "liar")
    found, _ = file.aggregate([*crowd(8), lie], {}, file.Options())
    influence = found.made_by["influence"]
    assert set(influence) == {"liar", *(f"c{k}" for k in range(8))}
    assert influence["liar"] == min(influence.values()) < 0.1
    assert all(0 <= share <= 1 for share in influence.values())


def by_hand(name: str, rows: Tensor) -> Tensor:
    """The slow, obvious form of the rules that have one."""
    if name == "median":
        return torch.tensor([sorted(column)[len(rows) // 2] for column in rows.T.tolist()])
    if name == "trimmed_mean":
        cut = -(-len(rows) // 4)
        return torch.tensor([sum(sorted(c)[cut:-cut]) / (len(rows) - 2 * cut) for c in rows.T.tolist()])
    scores = []
    f = -(-len(rows) // 4)
    for row in rows:
        distances = sorted(float((row - other).square().sum()) for other in rows)
        scores.append(sum(distances[1 : len(rows) - f - 1]))
    best = sorted(range(len(rows)), key=scores.__getitem__)
    return rows[best[0]] if name == "krum" else rows[best[: len(rows) - f]].mean(0)


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "krum", "multi_krum"])
def test_against_the_obvious_form(name: str) -> None:
    deltas = crowd(11, seed=4)
    rows = torch.stack([layout_of(d.changes).vector(d.changes) for d in deltas])
    torch.testing.assert_close(run(name, deltas)[0], by_hand(name, rows))


def test_the_geometric_median_has_the_least_sum_of_distances() -> None:
    deltas = [delta(layout_of(d.changes).vector(d.changes), 10, f"c{k}") for k, d in enumerate(crowd(7, 2))]
    rows = torch.stack([layout_of(d.changes).vector(d.changes) for d in deltas])
    point, _ = run("geometric_median", deltas, steps=200)
    least = float((rows - point).norm(dim=1).sum())
    draw = torch.Generator().manual_seed(1)
    for _ in range(50):
        near = point + 0.01 * torch.randn(8, generator=draw)
        assert float((rows - near).norm(dim=1).sum()) >= least - 1e-4


def test_fednova_counts_a_client_of_many_steps_no_more_than_one_of_few() -> None:
    slow, fast = delta(torch.ones(8), 10, "slow", steps=1), delta(-10 * torch.ones(8), 10, "fast", steps=10)
    torch.testing.assert_close(run("fednova", [slow, fast])[0], torch.zeros(8), atol=1e-6, rtol=0)
    assert float(run("mean", [slow, fast])[0].sum()) < -30


def test_momentum_and_moments_are_those_of_the_papers() -> None:
    change, one = torch.full((8,), 0.5), [delta(torch.full((8,), 0.5))]
    _, state = run("fedavgm", one, momentum=0.9)
    second, _ = run("fedavgm", one, state, momentum=0.9)
    torch.testing.assert_close(second, 1.9 * change)
    step, state = run("fedadam", one, rate=0.1, tau=0.0)
    torch.testing.assert_close(
        step, torch.full((8,), 0.1)
    )  # the first step of Adam has the length of the rate
    torch.testing.assert_close(state["square"], 0.01 * change.square())
    _, yogi = run("fedyogi", one)
    _, yogi = run("fedyogi", [delta(0.01 * change)], yogi)
    assert bool((yogi["square"] < 0.01 * change.square()).all())  # moves by at most the new square
    _, adagrad = run("fedadagrad", one)
    torch.testing.assert_close(adagrad["square"], change.square())
