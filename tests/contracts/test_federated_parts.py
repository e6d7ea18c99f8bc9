"""What partitions, attacks and topologies promise, checked for each file of their folders."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kwsctl import registry
from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated.attendance import Attendance, attend
from kwsctl.federated.clients import PARTITIONS, Population, populate
from kwsctl.federated.rounds import TOPOLOGIES
from kwsctl.federated.session import ATTACKS

TARGET = np.arange(600) % 6
SPEAKERS = [f"s{n // 60}" if n % 20 else None for n in range(600)]


@pytest.mark.parametrize("name", registry.names(PARTITIONS))
def test_every_clip_has_one_client(name: str) -> None:
    who = populate(TARGET, SPEAKERS, Population(partition=name), seed=3)
    rows = np.concatenate([client.rows for client in who])
    assert sorted(rows.tolist()) == list(range(600))
    again = populate(TARGET, SPEAKERS, Population(partition=name), seed=3)
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(who, again, strict=True))


def test_speakers_keep_their_clips_and_skew_is_skewed() -> None:
    for client in populate(TARGET, SPEAKERS, Population(), 0):
        assert {SPEAKERS[row] for row in client.rows} <= {client.name, None}
    few = Population(partition="dirichlet", partition_options={"clients": 10, "alpha": 0.1})
    many = Population(partition="dirichlet", partition_options={"clients": 10, "alpha": 100.0})

    def commonest(how: Population) -> float:
        who = populate(TARGET, SPEAKERS, how, 0)
        return float(np.mean([np.bincount(TARGET[c.rows]).max() / len(c.rows) for c in who]))

    assert commonest(few) > 2 * commonest(many)
    sizes = [len(c.rows) for c in populate(TARGET, SPEAKERS, Population(partition="quantity_skew"), 0)]
    assert len(sizes) == 20 and min(sizes) >= 1 and max(sizes) > 4 * np.median(sizes)


def test_shares_of_labels_late_joiners_and_liars() -> None:
    how = Population(partition="iid", labelled_share=0.03, late_share=0.5, late_rounds=4, attackers=0.2)
    who = populate(TARGET, SPEAKERS, how, 0)
    assert {int(client.labelled.sum()) for client in who} == {1}
    assert sum(client.attacks for client in who) == 4
    late = [client for client in who if client.joins]
    assert 5 <= len(late) <= 15 and max(client.joins for client in late) <= 4
    early = attend(who, Attendance(), 0, 0)
    assert {one.client.name for one in early} == {client.name for client in who if not client.joins}
    assert len(attend(who, Attendance(), 4, 0)) == 20
    with pytest.raises(InputError, match=r"attackers = 1\.5 is no share"):
        populate(TARGET, SPEAKERS, dataclasses.replace(how, attackers=1.5), 0)
    with pytest.raises(InputError, match="No clip names its speaker"):
        populate(TARGET, [None] * 600, Population(), 0)


def test_poisson_sampling_asks_each_by_itself_and_fixed_asks_so_many() -> None:
    who = populate(TARGET, SPEAKERS, Population(partition="iid", partition_options={"clients": 100}), 0)
    poisson = [len(attend(who, Attendance(share=0.3), number, 0)) for number in range(60)]
    assert np.mean(poisson) == pytest.approx(30, abs=2) and np.std(poisson) == pytest.approx(4.6, rel=0.35)
    fixed = Attendance("fixed", share=0.3)
    assert {len(attend(who, fixed, number, 0)) for number in range(10)} == {30}
    barred = attend(who, Attendance(), 0, 0, ("client-0003",))
    assert len(barred) == 99 and "client-0003" not in {one.client.name for one in barred}
    rough = [
        one for number in range(20) for one in attend(who, Attendance("poisson", 1.0, 0.25, 0.5), number, 0)
    ]
    assert np.mean([not one.answers for one in rough]) == pytest.approx(0.25, abs=0.03)
    slow = [one.work for one in rough if one.work < 1]
    assert len(slow) / len(rough) == pytest.approx(0.5, abs=0.04) and 0 < min(slow) <= max(slow) < 1


def deltas(count: int) -> list[Delta]:
    draw = torch.Generator().manual_seed(0)
    rows = [{"w": torch.randn(50, generator=draw), "b": torch.randn(3, generator=draw)} for _ in range(count)]
    return [Delta("base", row, (), 10, {"client": str(k)}) for k, row in enumerate(rows)]


@pytest.mark.parametrize("name", registry.names(ATTACKS))
def test_attacks_change_what_is_sent_or_learned_and_nothing_else(name: str) -> None:
    file = registry.load(ATTACKS, name)
    how, sent = file.Options(), deltas(5)
    before = [{k: v.clone() for k, v in one.changes.items()} for one in sent]
    draw = torch.Generator().manual_seed(1)
    assert hasattr(file, "poison_changes") or hasattr(file, "poison_clips")
    if hasattr(file, "poison_changes"):
        lies = file.poison_changes(sent, how, draw)
        assert [lie.made_by for lie in lies] == [one.made_by for one in sent]
        assert all(lie is not one for lie, one in zip(lies, sent, strict=True))
    assert all(
        torch.equal(one.changes[k], v) for one, old in zip(sent, before, strict=True) for k, v in old.items()
    )
    if hasattr(file, "poison_clips"):
        target = torch.arange(600) % 6
        wrong, triggered = file.poison_clips(target, 6, how, draw)
        assert bool((wrong != target).any()) and int(wrong.min()) >= 0 and int(wrong.max()) < 6
        assert bool(triggered.any()) == (name == "backdoor")


def test_colluders_send_one_and_the_same_and_scaled_ones_are_long() -> None:
    sent = deltas(5)
    agreed = registry.load(ATTACKS, "collusion")
    lies = agreed.poison_changes(sent, agreed.Options(), torch.Generator())
    assert all(torch.equal(lie.changes["w"], lies[0].changes["w"]) for lie in lies)
    long = registry.load(ATTACKS, "scaled")
    lie = long.poison_changes(sent, long.Options(factor=20.0), torch.Generator().manual_seed(0))[0]
    length = sum(float(c.square().sum()) for c in lie.changes.values()) ** 0.5
    honest = sum(float(c.square().sum()) for c in sent[0].changes.values()) ** 0.5
    assert length == pytest.approx(20 * honest, rel=1e-5)


def test_topologies_are_files() -> None:
    assert registry.names(TOPOLOGIES) == ("gossip", "hierarchical", "star")
    for name in registry.names(TOPOLOGIES):
        file = registry.load(TOPOLOGIES, name)
        assert callable(file.advance) and dataclasses.is_dataclass(file.Options)
