"""A head learns by an ordinary graph as it does with torch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from kwsctl.export.head_graphs import head_graph, head_step_graph
from kwsctl.export.running import cpu_session
from kwsctl.export.runtime import HeadLearner
from kwsctl.export.scores import Head, probabilities

STEPS, RATE, MOMENTUM, STRENGTH = 50, 0.1, 0.9, 0.01
Task = Literal["keywords", "wake"]


def problem(task: Task) -> tuple[Head, np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    head = Head(("a", "b", "c"), task, *(draw.normal(size=s).astype(np.float32) for s in ((3, 8), (3,))))
    x = draw.normal(size=(10, 8)).astype(np.float32)
    target = np.eye(3, dtype=np.float32)[draw.integers(0, 3, 10)]
    return head, x, target, draw.uniform(0.5, 2, 10).astype(np.float32)


@pytest.mark.parametrize("task", ["keywords", "wake"])
@pytest.mark.parametrize("rows", [(1.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_fifty_steps_are_those_of_torch(task: Task, rows: tuple[float, ...]) -> None:
    head, x, target, clip_weight = problem(task)
    learned, losses = HeadLearner(cpu_session(head_step_graph(task))).learn(
        head,
        x,
        target,
        clip_weight=clip_weight,
        rows=np.array(rows, np.float32),
        steps=STEPS,
        rate=RATE,
        momentum=MOMENTUM,
        strength=STRENGTH,
    )
    weight, bias = (torch.from_numpy(v.copy()).requires_grad_() for v in (head.weight, head.bias))
    optimizer = torch.optim.SGD([weight, bias], lr=RATE, momentum=MOMENTUM)
    share = torch.from_numpy(clip_weight / clip_weight.sum())
    for step in range(STEPS):
        logits = torch.from_numpy(x) @ weight.T + bias
        wanted = torch.from_numpy(target)
        if task == "keywords":
            each = -(wanted * logits.log_softmax(1)).sum(1)
        else:
            each = fn.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)
        loss = (share * each).sum() + STRENGTH * (weight - torch.from_numpy(head.weight)).square().sum()
        assert losses[step] == pytest.approx(loss.item(), abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        weight.grad *= torch.tensor(rows)[:, None]
        bias.grad *= torch.tensor(rows)
        optimizer.step()
    np.testing.assert_allclose(learned.weight, weight.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(learned.bias, bias.detach().numpy(), atol=1e-6)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("task", ["keywords", "wake"])
def test_scores_are_those_of_the_head(task: Task) -> None:
    head, x, _, _ = problem(task)
    feed = {"embedding": x, "weight": head.weight, "bias": head.bias}
    found = cpu_session(head_graph(task)).run(None, feed)[0]
    np.testing.assert_allclose(found, head.scores(x), atol=1e-6)
    logits = torch.from_numpy(head.logits(x))
    wanted = logits.softmax(1) if task == "keywords" else logits.sigmoid()
    np.testing.assert_allclose(probabilities(head.logits(x), task), wanted.numpy(), atol=1e-6)


def test_margins_are_what_a_score_is_the_sigmoid_of() -> None:
    head, x, _, _ = problem("keywords")
    np.testing.assert_allclose(1 / (1 + np.exp(-head.margins(x, "b"))), head.scores(x)[:, 1], atol=1e-6)


def test_a_head_grows_and_keeps_its_rows() -> None:
    head, x, _, _ = problem("wake")
    grown = head.grown("new", np.ones(8, np.float32), -1.0)
    assert grown.labels == ("a", "b", "c", "new")
    np.testing.assert_array_equal(grown.logits(x)[:, :3], head.logits(x))
    again = grown.grown("b", np.zeros(8, np.float32), 2.0)
    assert again.labels == grown.labels
    assert (again.logits(x)[:, 1] == 2.0).all()
