"""What the server lets in, and whom it finds odd."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from kwsctl.bundle import Delta
from kwsctl.federated.admission import Gate
from kwsctl.federated.anomaly import Watch, anomaly_scores, barred, strikes_after
from kwsctl.federated.layout import layout_of

GOOD = Delta("base", {"b": torch.zeros(3), "w": torch.ones(2, 3)}, (), 10, {"client": "ana"})
GATE = Gate("base", layout_of(GOOD.changes), most_clips=100)


def with_change(name: str, change: torch.Tensor) -> Delta:
    return dataclasses.replace(GOOD, changes={**GOOD.changes, name: change})


def test_what_was_asked_for_is_let_in() -> None:
    assert GATE.refusal(GOOD) is None
    assert GATE.refusal_of_size(4 * 9) is None


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (dataclasses.replace(GOOD, base_sha256="other"), "made on bundle other, asked for base"),
        (with_change("w", torch.full((2, 3), torch.nan)), "w is not finite"),
        (with_change("w", torch.full((2, 3), torch.inf)), "w is not finite"),
        (with_change("w", torch.full((2, 3), 1e7)), "w changes by 1.0e+07, more than 1e+06"),
        (with_change("w", torch.ones(3, 2)), "w has shape (3, 2), expected (2, 3)"),
        (with_change("x", torch.ones(1)), "x has shape (1,), expected none"),
        (dataclasses.replace(GOOD, changes={"b": torch.zeros(3)}), "w has shape none, expected (2, 3)"),
        (dataclasses.replace(GOOD, n_clips=0), "claims 0 clips, 1 to 100 are believed"),
        (dataclasses.replace(GOOD, n_clips=101), "claims 101 clips, 1 to 100 are believed"),
    ],
)
def test_all_else_is_refused_with_the_value(bad: Delta, said: str) -> None:
    assert GATE.refusal(bad) == said


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    assert GATE.refusal_of_size(10 * 2**30) == "sends 10,737,418,240 bytes, at most 1,096 are read"


def crowd(count: int) -> list[Delta]:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(40, generator=draw) + 0.3 * torch.randn(count, 40, generator=draw)
    return [Delta("base", {"w": row}, (), 10, {"client": str(k)}) for k, row in enumerate(rows)]


@pytest.mark.parametrize("factor", [-1.0, 30.0, 0.01])
def test_who_is_turned_round_or_far_too_long_or_short_has_the_highest_score(factor: float) -> None:
    honest = crowd(12)
    lie = dataclasses.replace(honest[3], changes={"w": factor * honest[3].changes["w"]})
    scores = anomaly_scores([*honest[:3], lie, *honest[4:]])
    assert int(scores.argmax()) == 3 and float(scores[3]) > 4
    assert float(anomaly_scores(honest).max()) < float(scores[3])
    assert not anomaly_scores(honest[:3]).any()  # too few to compare


def test_strikes_count_rounds_in_a_row() -> None:
    watch = Watch(score=3.0, strikes=2)
    strikes, out = strikes_after({}, ["a", "b"], [5.0, 1.0], watch)
    assert out == ("a",) and barred(strikes, watch) == ()
    again, _ = strikes_after(strikes, ["a", "b"], [4.0, 3.0], watch)
    assert barred(again, watch) == ("a",) and again["b"] == 1
    assert strikes_after(strikes, ["a"], [2.0], watch)[0] == {}
    assert strikes_after({}, ["a"], [99.0], Watch(score=0.0)) == ({}, ())
