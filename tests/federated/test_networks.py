"""Whole networks of many clients learn at once what they learn one by one; also on a GPU, if there is one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from kwsctl.cli.app import app
from kwsctl.errors import DeviceError, InputError
from kwsctl.federated import clients, pool, start
from kwsctl.federated.attendance import attend
from kwsctl.federated.devices import answers
from kwsctl.federated.federate import federate
from kwsctl.federated.lessons import lesson
from kwsctl.federated.networks import learn_networks
from kwsctl.federated.session import Session, fingerprint_of, open_session
from kwsctl.federated.state import first_state

from .people import options, people, prepared, session

UNEVEN: dict[str, Any] = {
    "cached": False,
    "local": {"rate": 0.05, "smoothing": 0.1, "proximal": 0.5, "batch_size": 5},
    "population": {"partition": "quantity_skew", "partition_options": {"clients": 5}},
}


def both_ways(there: Session, corrections: torch.Tensor | None = None) -> list[Any]:
    """What clients with batches of different sizes learn, one by one and at once, from the same draws."""
    target = there.corpus.train.target
    plans = lambda: [  # noqa: E731
        lesson(one, target[torch.from_numpy(one.rows)], 0, 0, batch_size=5, epochs=1, work=work)
        for one, work in zip(there.clients, (1.0, 0.4, 1.0, 0.7, 1.0), strict=True)
    ]
    starts = there.first.expand(len(there.clients), -1)
    steps = [len(plan.batches) for plan in plans()]
    assert len(set(steps)) > 1 and {len(b) for plan in plans() for b in plan.batches} != {5}
    one_by_one = pool.learn(dataclasses.replace(there, workers=1), starts, plans(), corrections)
    at_once = learn_networks(there.resident, starts, plans(), there.inputs, there.work, corrections)
    return [one_by_one, at_once]


@pytest.mark.parametrize("part", ["full", "vectors"])
@pytest.mark.parametrize("corrected", [False, True])
def test_networks_at_once_learn_what_one_by_one_learn(part: str, corrected: bool) -> None:
    """Varied clips, FedProx, smoothing, SCAFFOLD, stragglers and batches of all sizes."""
    there = session(part=part, **UNEVEN)
    pull = 0.3 * torch.randn(5, there.resident.layout.size) if corrected else None
    alone, together = both_ways(there, pull)
    for one, other in zip(alone, together, strict=True):
        moved = float((one.weights - there.first).norm())
        assert moved > 0 and float((one.weights - other.weights).norm()) < 0.01 * moved
        assert other.steps == one.steps
        assert other.loss == pytest.approx(one.loss, rel=1e-3)
    assert not torch.equal(together[0].weights, together[1].weights)


def test_what_a_client_draws_does_not_depend_on_who_else_is_there() -> None:
    there = session(part="full", **UNEVEN)
    target = there.corpus.train.target

    def learned(names: list[int]) -> torch.Tensor:
        plans = [
            lesson(one, target[torch.from_numpy(one.rows)], 0, 0, batch_size=5)
            for one in (there.clients[k] for k in names)
        ]
        starts = there.first.expand(len(plans), -1)
        return learn_networks(there.resident, starts, plans, there.inputs, there.work)[-1].weights

    moved = float((learned([2]) - there.first).norm())
    assert float((learned([0, 4, 2]) - learned([2])).norm()) < 0.01 * moved


def test_dropout_differs_from_client_to_client_and_comes_again() -> None:
    network = {"part": "full", "network": {"width": 0.4, "dropout": 0.5}, "local": {"augment": False}}
    how = options(**network)
    base, corpus = start.prepare(people(), how, None, 0)
    who = clients.populate(corpus.train.target.numpy(), corpus.train.speakers, how.population, 0)
    there = open_session(base, corpus, who, how, 0)
    twin = lesson(who[0], corpus.train.target[torch.from_numpy(who[0].rows)], 0, 0)
    found = [
        learn_networks(there.resident, there.first.expand(2, -1), [twin, twin], there.inputs, there.work)
        for _ in range(2)
    ]
    assert not torch.equal(found[0][0].weights, found[0][1].weights)
    assert torch.equal(found[0][0].weights, found[1][0].weights)


def test_a_device_that_is_not_there_or_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no device 'cuda'"):
            federate(people(), tmp_path / "f.safetensors", options(), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InputError, match="not in workers"):
        federate(people(), tmp_path / "f.safetensors", options(), device="cuda", workers=2)
    with pytest.raises(InputError, match="on the CPU only"):
        federate(people(), tmp_path / "f.safetensors", options(precision="w8a8g8"), device="cuda")
    refused = {"flower has no device": ["--engine", "flower"], "on the CPU": ["--method", "feduv"]}
    for said, more in refused.items():
        done = CliRunner().invoke(app, ["federate", "--data", "x.csv", "--device", "cuda", *more])
        assert done.exit_code and said in str(done.exception)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("how", [{"part": "head"}, {"part": "full", **UNEVEN}], ids=["heads", "networks"])
def test_a_gpu_learns_what_the_cpu_learns(how: dict[str, Any]) -> None:
    base, corpus = prepared()
    here = session(**how)
    there = open_session(base, corpus, here.clients, options(**how), 0, device=torch.device("cuda"))
    assert fingerprint_of(here) != fingerprint_of(there)
    found = []
    for one in (here, there):
        state = first_state(one)
        asked = attend(one.clients, one.options.attendance, 0, one.seed, frozenset())
        found.append(answers(one, state, asked, base.sha256, number=0))
    for a, b in zip(found[0].deltas, found[1].deltas, strict=True):
        one, other = (here.layout.vector(delta.changes) for delta in (a, b))
        assert float((one - other).norm()) < 0.05 * float(one.norm())
    assert found[0].loss == pytest.approx(found[1].loss, rel=0.01)
