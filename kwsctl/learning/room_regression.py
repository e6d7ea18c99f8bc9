"""Teaches a network a room by inference alone: layer by layer, in closed form.

Teacher and student hear the same words, as in `kwsctl.learning.room_tuning`. What a layer of the student
should change to say in the room what the teacher's says in quiet is a ridge regression on its inputs, as
layers are reconstructed after quantization (AdaRound, Nagel et al. 2020, arXiv 2004.10568). Least squares
alone make every layer timid, and the next ones worse; so each goes only as far that way as brings the
embeddings at the end nearer, which forward passes tell.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Delta
from kwsctl.features.logmel import compress
from kwsctl.learning.known import Known
from kwsctl.learning.room_words import Says, away, change_of, others_of, pairs
from kwsctl.seeding import torch_generator

OWN, BATCH = 64, 128
RIDGE = 1.0
SHARES = (0.1, 0.25, 0.5, 1.0)
JUDGES = 4
"""How far to go is told by every fourth word: all of them tell it no better, in twice the time."""


def learn(known: Known, room: Tensor) -> Delta:
    """Fits the layers of a person's model to a room; no gradient, and no activation is kept.

    Args:
        known: the person; what is heard are their clips and half of the stored negatives.
        room: [M, F, C] mel power of stretches of it.

    Returns:
        The change of the trunk, in thin matrices.
    """
    student, teacher = (_slow(copy.deepcopy(bundle.network)) for bundle in (known.current, known.base))
    with torch.inference_mode():
        draw = torch_generator(known.seed, "room regression")
        rows = torch.arange(len(others_of(known)))
        quiet, heard = (compress(power) for power in pairs(known, room, OWN, rows, draw))
        _fit(student, teacher, heard, quiet)
    return change_of(known, student)


def _fit(student: nn.Module, teacher: nn.Module, heard: Tensor, quiet: Tensor) -> None:
    """Lets each layer go as far as it helps, the first ones first."""
    some, target = heard[::JUDGES], _said(teacher, quiet[::JUDGES])
    nearest = float(away(_said(student, some), target).mean())
    modules: list[Any] = list(student.modules())
    # Heads differ in their rows, and are no part of the trunk.
    for place, (layer, taught) in enumerate(zip(modules, teacher.modules(), strict=True)):
        if not _is_dense(layer) or layer is student.head:
            continue
        norm = _norm_after(modules, place)
        way, shift = _regression(_Lesson(student, layer, heard), _Lesson(teacher, taught, quiet), norm)
        free = [(layer.weight, way)] if norm is None else [(layer.weight, way), (norm.running_mean, -shift)]
        paths = [(part, part.clone(), towards.reshape(part.shape)) for part, towards in free]
        best = 0.0
        for share in SHARES:
            _go(paths, share)
            now = float(away(_said(student, some), target).mean())
            if now >= nearest:
                break
            nearest, best = now, share
        _go(paths, best)


def _go(paths: Sequence[tuple[Tensor, Tensor, Tensor]], share: float) -> None:
    """Puts parts of a network so far from where they were towards where regression sees them."""
    for part, start, towards in paths:
        part.copy_(start + share * towards)


class _HeardEnough(Exception):  # noqa: N818  # nothing is wrong
    """Ends a forward pass behind the layer that is looked at."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    """A layer of a network, and what the network hears."""

    network: nn.Module
    layer: nn.Module
    features: Tensor

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Gives what the layer hears and says, some words at a time; what follows it need not run."""
        found: list[tuple[Tensor, Tensor]] = []

        def stop(_layer: nn.Module, given: tuple[Tensor, ...], said: Tensor) -> None:
            found.append((given[0], said))
            raise _HeardEnough

        hook = self.layer.register_forward_hook(stop)
        try:
            for part in torch.split(self.features, BATCH):
                with contextlib.suppress(_HeardEnough):
                    _said(self.network, part)
                yield found.pop()
        finally:
            hook.remove()


def _regression(heard: _Lesson, taught: _Lesson, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Gives what to add to the weights [C', C k] and to the outputs [C'], by normal equations."""
    count, products, answers = 0, torch.zeros(()), torch.zeros(())
    sums, missing = torch.zeros(()), torch.zeros(())
    for (given, said), (_, wanted) in zip(heard.batches(), taught.batches(), strict=True):
        given, rest = _patches(heard.layer, given), _rows(wanted - said)
        count += len(given)
        # Of a batch in single precision, which is twice as fast; only what is summed up must not lose digits.
        products = products + (given.T @ given).double()
        answers = answers + (given.T @ rest).double()
        sums, missing = sums + given.sum(0).double(), missing + rest.sum(0).double()
    # Only where a normalization follows is there anything that a constant can be added to.
    mean, lack = (sums / count, missing / count) if norm is not None else (0 * sums, 0 * missing)
    covariance = products / count - torch.outer(mean, mean)
    stiff = RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=covariance.dtype)
    way = torch.linalg.solve(covariance + stiff, answers / count - torch.outer(mean, lack)).T
    return way.float(), (lack - way @ mean).float()


def _slow(network: Any) -> Any:
    """Lets the modules of a network run, of which some have faster forms that hooks do not see."""
    if hasattr(network, "fast"):
        network.fast = False
    return network


def _said(network: nn.Module, features: Tensor) -> Tensor:
    return torch.cat([Says(network)(part) for part in torch.split(features, BATCH)])


def _is_dense(layer: nn.Module) -> bool:
    """Whether it is a layer in which all inputs meet all outputs."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.groups == 1)


def _norm_after(modules: Sequence[Any], place: int) -> Any:
    following = modules[place + 1] if place + 1 < len(modules) else None
    width = getattr(modules[place], "out_channels", 0)
    is_its = isinstance(following, nn.BatchNorm1d | nn.BatchNorm2d) and following.num_features == width
    return following if is_its else None


def _patches(layer: Any, x: Tensor) -> Tensor:
    """Gives what each output of a layer is computed from, as rows [N, C k]."""
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1])
    # A convolution over time is one over a single row.
    over_time = isinstance(layer, nn.Conv1d)
    how = [
        (first, *given) if over_time else given
        for first, given in (
            (1, layer.kernel_size),
            (1, layer.dilation),
            (0, layer.padding),
            (1, layer.stride),
        )
    ]
    return _rows(fn.unfold(x.unsqueeze(2) if over_time else x, *how))


def _rows(x: Tensor) -> Tensor:
    """Maps [B, C, ...] to rows [N, C]; rows stay what they are."""
    return x if x.ndim == 2 else x.movedim(1, -1).reshape(-1, x.shape[1])
