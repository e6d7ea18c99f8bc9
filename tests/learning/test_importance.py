"""Weights that the global model needs are held back more than others."""

from __future__ import annotations

import dataclasses

import torch

from kwsctl.learning.adapters import ewc
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.adapters._tuning import tuned
from tests import toy_people
from tests.toy_people import NEW_WORDS


def task() -> Enrolment:
    base = toy_people.encoder()
    takes = toy_people.spoken_to(NEW_WORDS[0], 20, 3, base)
    negatives = toy_people.negatives().features(base.n_frames)
    return Enrolment(base, NEW_WORDS[0], torch.stack([t.power for t in takes]), negatives, seed=1)


def test_importance_is_one_on_average_and_not_alike() -> None:
    given = task()
    network = given.base.model()
    free = list(network.parameters())
    found = ewc.importance(given, network, free)
    assert [part.shape for part in found] == [part.shape for part in free]
    together = torch.cat([part.flatten() for part in found])
    assert 0.5 < float(together.mean()) <= 1.0 + 1e-5  # the largest are cut off
    assert float(together.std()) > 0.5
    head = [n for n, _ in network.named_parameters()].index("head.weight")
    assert not found[head].any()  # it does not make the embedding


def test_what_matters_moves_less() -> None:
    given = task()
    how = dataclasses.replace(ewc.tuning(given), stay=100.0, steps=8)
    free = dataclasses.replace(how, stay=0.0)
    network = given.base.model()
    trunk = [w for n, w in network.named_parameters() if not n.startswith("head")]
    matters = ewc.importance(given, network, trunk)
    moved = {}
    for name, one in (("held", how), ("free", free)):
        after = dict(tuned(given, one).named_parameters())
        moved[name] = [
            (after[n].detach() - w).abs()
            for n, w in given.network.named_parameters()
            if not n.startswith("head")
        ]
    threshold = torch.cat([m.flatten() for m in matters]).quantile(0.9)

    def mean(parts: list[torch.Tensor]) -> float:
        return float(torch.cat([p[m > threshold] for p, m in zip(parts, matters, strict=True)]).mean())

    assert mean(moved["held"]) < 0.5 * mean(moved["free"])
