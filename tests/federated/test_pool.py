"""Clients learn side by side in forked processes: the same to the last bit, and a dead process is told."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kwsctl.errors import InputError, KwsctlError
from kwsctl.federated import pool
from kwsctl.federated.federate import federate
from kwsctl.federated.lessons import lesson
from kwsctl.federated.rounds import play
from kwsctl.federated.session import Session
from kwsctl.federated.state import first_state
from kwsctl.forked import chosen_workers

from .people import options, people, session

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

WHOLE: dict[str, Any] = {"part": "full", "rounds": 2, "evaluate_every": 9}


def side_by_side(workers: int, **values: Any) -> Session:
    return dataclasses.replace(session(**values), workers=workers)


@pytest.mark.parametrize(
    "more",
    [{}, {"local": {"scaffold": True, "proximal": 0.1}}, {"precision": "w8a8g8"}, {"topology": "gossip"}],
    ids=["dropout", "scaffold", "eight bits", "gossip"],
)
def test_three_processes_learn_what_one_learns(more: dict[str, Any]) -> None:
    one, three = (side_by_side(workers, **WHOLE, **more) for workers in (1, 3))
    a, b = (play(there, first_state(there)) for there in (one, three))
    assert torch.equal(a.weights, b.weights) and a.log == b.log
    assert not torch.equal(a.weights, first_state(one).weights)


def test_clients_learn_in_other_processes_as_many_as_there_are_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = side_by_side(2, **WHOLE)
    plans = [
        lesson(one, there.corpus.train.target[torch.from_numpy(one.rows)], 0, 0) for one in there.clients[:6]
    ]
    learn, here = there.resident.learn, os.getpid()

    def told(*arguments: Any) -> Any:
        assert os.getpid() == here or signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # Ctrl-C is ours
        return dataclasses.replace(learn(*arguments), steps=os.getpid())

    monkeypatch.setattr(there.resident, "learn", told)
    starts = there.first.expand(len(plans), -1)
    processes = {one.steps for one in pool.learn(there, starts, plans, None)}
    assert os.getpid() not in processes and 1 <= len(processes) <= 2
    alone = dataclasses.replace(there, workers=1)
    assert {one.steps for one in pool.learn(alone, starts, plans, None)} == {os.getpid()}


def test_a_process_that_is_killed_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    there = side_by_side(2, **WHOLE)

    def die(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(there.resident, "learn", die)
    with pytest.raises(KwsctlError, match=r"One of 2 processes .* was killed.*--workers 1"):
        play(there, first_state(there))


def test_what_a_client_raises_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    there = side_by_side(2, **WHOLE)

    def refuse(*_: Any) -> Any:
        raise InputError("This cannot be learned.", "Try another.")

    monkeypatch.setattr(there.resident, "learn", refuse)
    with pytest.raises(InputError, match="cannot be learned"):
        play(there, first_state(there))


def test_the_file_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    how = options(**WHOLE)
    made = [federate(people(), tmp_path / f"{n}.safetensors", how, workers=n) for n in (1, 2)]
    by_default = federate(people(), tmp_path / "d.safetensors", how)
    assert len({one.sha256 for one in [*made, by_default]}) == 1


def test_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0 workers let nobody learn"):
        federate(people(), tmp_path / "f.safetensors", options(**WHOLE), workers=0)


def test_where_nothing_can_be_forked_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_workers(3) == 3
    monkeypatch.setattr(sys, "platform", "darwin")
    assert chosen_workers(None) == chosen_workers(1) == 1
    with pytest.raises(InputError, match=r"2 workers need Linux, this is darwin"):
        chosen_workers(2)
