"""What every method promises, and where thresholds and figures come from."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
import torch

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.verification import statistics
from kwsctl.verification.head import VoiceHead, begin_with
from kwsctl.verification.methods._coding import agreement, positive_loss
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import UserTrials, figures, fpr_at, roc, warm_up

METHODS = "kwsctl.verification.methods"
NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize("name", registry.names(METHODS))
def test_a_step_against_the_loss_raises_the_score(name: str) -> None:
    method, how = registry.load(METHODS, name), VerificationOptions(method=name, length=31)
    targets = method.targets(NAMES, how, 0)
    draw = torch.Generator().manual_seed(0)
    outputs = (0.3 * torch.randn(5, targets.shape[1], generator=draw)).requires_grad_(True)
    loss = method.loss(outputs, targets[1], torch.tensor(1), how)
    assert loss.shape == (5,)
    (push,) = torch.autograd.grad(loss.sum(), outputs)
    better = outputs.detach() - 0.1 * push
    assert (method.score(better, targets[1], 1) > method.score(outputs.detach(), targets[1], 1)).all()
    if method.NEEDS_ROWS:
        rows = method.spread(torch.randn(4, 8, generator=draw), how, 1.0)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))


def test_the_loss_is_nothing_only_at_the_code() -> None:
    code = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    assert float(positive_loss(3 * code[None], code)[0]) == pytest.approx(0, abs=1e-6)
    near = code.clone()
    near[0] = -1
    assert float(positive_loss(near[None], code)[0]) == pytest.approx(0.4)
    assert float(agreement(-code[None], code)[0]) == pytest.approx(-1)


def test_codes_of_users_differ_except_in_the_control() -> None:
    for name in ("feduv", "fedua", "hadamard", "none"):
        how = VerificationOptions(method=name, length=63)
        rows = registry.load(METHODS, name).targets(NAMES, how, 0)
        assert set(rows.unique().tolist()) <= {-1.0, 1.0}
        assert len(rows.unique(dim=0)) == (1 if name == "none" else 4)


def test_fedaws_pushes_apart_what_is_near() -> None:
    method, how = registry.load(METHODS, "fedaws"), VerificationOptions(method="fedaws")
    rows = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]]), dim=1)
    after = method.spread(rows, how, 1.0)
    assert float(after[0] @ after[1]) < float(rows[0] @ rows[1])


def test_the_warm_up_takes_the_i_th_smallest() -> None:
    scores = np.array([0.5, 0.1, 0.9, 0.7, 0.3, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert warm_up(scores, 0.9) == 0.1
    assert warm_up(scores, 0.8) == 0.2
    assert warm_up(scores, 1.0) < 0.1
    assert (scores > warm_up(scores, 0.8)).mean() == 0.8
    with pytest.raises(InputError, match="0 clips"):
        warm_up(np.array([]), 0.9)


def test_figures_count_what_is_let_in() -> None:
    own, others = np.arange(10) / 10 + 0.5, np.arange(20) / 20
    trial = UserTrials("a", own, others, threshold=0.7)
    assert fpr_at(trial, 0.8) == 6 / 20  # 0.7 and above
    assert fpr_at(trial, 1.0) == 10 / 20
    found = figures([trial, UserTrials("b", own, others - 1, threshold=0.7)])
    assert found.fpr["0.8"].mean == pytest.approx(0.15)
    assert found.warm_up_tpr is not None
    assert found.warm_up_tpr.mean == pytest.approx(0.7)
    assert found.users == 2
    false, true = roc([trial])
    assert np.all(np.diff(false) >= 0)
    assert true[-1] == 1
    assert math.isclose(false[-1], 0.5)
    with pytest.raises(InputError, match="Nobody"):
        figures([])


def test_statistics_of_pieces_are_those_of_the_whole() -> None:
    frames = torch.randn(2, 3, 4, 10, generator=torch.Generator().manual_seed(0))  # clips, pieces, C, T

    def told(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean(-1), (x.var(-1, unbiased=False) + 1e-5).sqrt()], -1)

    whole = told(frames.permute(0, 2, 1, 3).flatten(2))
    torch.testing.assert_close(statistics.pooled(told(frames), (4,)), whole)


def test_a_warm_head_says_what_the_speaker_embedding_says() -> None:
    draw = torch.Generator().manual_seed(0)
    head = VoiceHead(20, 16, 16, 31)
    with torch.no_grad():
        cast(torch.Tensor, head.center).copy_(torch.randn(20, generator=draw))
        cast(torch.Tensor, head.spread).copy_(0.5 + torch.rand(20, generator=draw))
    projection, x = torch.randn(8, 20, generator=draw), torch.randn(6, 20, generator=draw)
    begin_with(head, projection)
    said = x @ projection.T
    said = torch.nn.functional.normalize(said - said.mean(1, keepdim=True), dim=1)
    z = torch.nn.functional.normalize(head(x), dim=1).detach()
    torch.testing.assert_close(z @ z.T, said @ said.T, atol=1e-3, rtol=1e-3)
    with pytest.raises(InputError, match="needs a hidden layer"):
        begin_with(VoiceHead(20, 12, 16, 31), projection)
