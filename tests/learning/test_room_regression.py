"""A room is learned by inference alone: no gradient, nothing saved, and nearly what tuning gives."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from kwsctl.bundle import Bundle
from kwsctl.learning import room_regression, updating
from kwsctl.learning.canary import RARER, RARER_TUNED
from kwsctl.learning.room_regression import _Lesson, _patches, _regression, _rows
from tests.learning.test_room_tuning import away, gathered, known, loud, tuned


@functools.cache
def fitted() -> Bundle:
    saved: list[torch.Tensor] = []
    assert len(known().others)  # made before, with what it needs
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda kept: kept):
        delta = room_regression.learn(known(), loud())
    assert not saved
    assert not [name for name in delta.changes if name.startswith("head.")]
    size = sum(weight.nbytes for weight in known().current.weights.values())
    assert 0 < sum(change.nbytes for change in delta.changes.values()) < size
    return known().current.with_delta(delta)


@pytest.mark.parametrize("voice", [False, True])
def test_words_and_voices_of_the_room_come_out_more_as_they_do_in_quiet(voice: bool) -> None:
    before, after, by_gradients = (
        away(bundle, heard_in_room=True, voice=voice) for bundle in (known().current, fitted(), tuned())
    )
    assert before - after > 0.5 * (before - by_gradients)
    assert away(fitted(), heard_in_room=False, voice=voice) < 0.3 * before


def test_what_only_infers_learns_a_loud_room_by_regression() -> None:
    proposal = updating.propose(known(), gathered(loud()), "forward", tune_room=True)
    assert (proposal.tuned, proposal.rarer) == (True, RARER_TUNED)
    assert proposal.delta is not None
    after = known().current.with_delta(proposal.delta)
    assert torch.allclose(after.weights["stem.weight"], fitted().weights["stem.weight"], atol=1e-6)
    quiet = updating.propose(known(), gathered(1e-6 * loud()), "forward", tune_room=True)
    assert (quiet.tuned, quiet.rarer) == (False, RARER)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 4, 5, stride=2, padding=4, dilation=2, bias=False), (2, 3, 20)),
        (nn.Conv2d(3, 4, (3, 5), stride=(1, 2), padding=(1, 2), bias=False), (2, 3, 8, 20)),
        (nn.Linear(3, 4, bias=False), (7, 3)),
    ],
)
def test_a_layer_is_what_its_weights_make_of_its_patches(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = _patches(layer, x) @ layer.weight.flatten(1).T
    assert torch.allclose(made, _rows(layer(x)), atol=1e-5)


def test_a_change_of_a_layer_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both hear the same, what is missing is the difference of their weights, and of what is added."""
    monkeypatch.setattr(room_regression, "RIDGE", 1e-9)
    draw = torch.Generator().manual_seed(0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv1d(3, 4, 3, padding=1)

        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).mean(2)

    student, teacher = Net().requires_grad_(False), Net().requires_grad_(False)
    x = torch.randn(90, 3, 40, generator=draw)
    way, shift = _regression(
        _Lesson(student, student.layer, x), _Lesson(teacher, teacher.layer, x), nn.BatchNorm1d(4)
    )
    missing = teacher.layer.weight - student.layer.weight
    assert torch.allclose(way.reshape(missing.shape), missing, atol=1e-4)
    assert torch.allclose(shift, teacher.layer.bias - student.layer.bias, atol=1e-4)
