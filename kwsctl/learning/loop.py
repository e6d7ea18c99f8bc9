"""THE training loop: everything in kwsctl that learns by gradients calls `fit`.

What differs between training, enrolling, adapting and a federated client are the arguments: the
batches, the loss, which weights the optimizer holds, and what is done after an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from kwsctl.learning.schedule import Schedule
from kwsctl.learning.workers import Workers
from kwsctl.progress import Progress, silent


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        features: [B, F, T].
        target: [B] label indices.
        rows: [B] where the clips stand in the training set.
    """

    features: Tensor
    target: Tensor
    rows: Tensor

    def parts(self, pieces: int) -> list[Batch]:
        """Cuts the batch into so many pieces, or one for each clip if these are fewer."""
        if pieces == 1:
            return [self]
        size = -(-len(self.target) // pieces)
        cut = (torch.split(part, size) for part in (self.features, self.target, self.rows))
        return [Batch(*part) for part in zip(*cut, strict=True)]


class Judged(NamedTuple):
    """What was thought of one batch.

    Attributes:
        loss: a scalar, to be lowered.
        right: how many clips of the batch were told right.
    """

    loss: Tensor
    right: float


Judge = Callable[[Any, Batch], Judged]
"""Judges what a model gave, logits [B, L] or whatever else its training needs, by the batch it was given."""


@dataclass(frozen=True)
class EpochFacts:
    """What happened in one epoch.

    Attributes:
        epoch: counted from 0.
        loss: mean over the clips.
        accuracy: share of clips, as augmented, that were told right.
        clips: how many.
        seconds: wall time of the epoch.
        data_s: part of it in which steps waited for their batch.
    """

    epoch: int
    loss: float
    accuracy: float
    clips: int
    seconds: float
    data_s: float


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    judge: Judge,
    optimizer: Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: Schedule,
    first_epoch: int = 0,
    pieces: int = 1,
    average: AveragedModel | None = None,
    workers: Workers | None = None,
    note: Callable[[Batch, Any], None] = lambda _batch, _output: None,
    on_epoch: Callable[[EpochFacts], bool] = lambda _: False,
    progress: Progress = silent,
) -> None:
    """Trains a model in place.

    Args:
        model: takes [B, F, T] and gives logits [B, L], or what else `judge` takes.
        batches: gives the batches of an epoch.
        judge: gives the loss.
        optimizer: holds the weights to change.
        epochs: how many in all.
        steps_per_epoch: for the learning rate and the progress.
        learning_rate: by step.
        first_epoch: where a resumed run goes on.
        pieces: run each batch in so many, one after the other, to keep fewer activations; `judge` then has
            to give sums over clips, so that gradients add up to those of the whole.
        average: follows the model, see `kwsctl.learning.averaging`.
        workers: device and processes; the CPU alone by default.
        note: told what the model gave for each batch, without gradients.
        on_epoch: called after each epoch; true ends the run.
        progress: counts steps.
    """
    workers = workers or Workers()
    wrapped = workers.wrap(model)
    on_gpu = workers.device.type == "cuda"
    for epoch in range(first_epoch, epochs):
        wrapped.train()
        tally = _Tally()
        for step, batch in enumerate(tally.timed(batches(epoch)), epoch * steps_per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step)
            optimizer.zero_grad(set_to_none=True)
            for part in batch.parts(pieces):
                # bfloat16 needs no loss scaling; on a CPU it is slower than float32 for nets this small.
                with torch.autocast(workers.device.type, dtype=torch.bfloat16, enabled=on_gpu):
                    output = wrapped(part.features)
                judged = judge(output, part)
                judged.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                with torch.no_grad():
                    note(part, output)
                tally.add(len(part.target), judged, pieces)
            optimizer.step()
            if average is not None:
                average.update_parameters(model)
            progress(step + 1, epochs * steps_per_epoch, **tally.facts(epoch))
        if on_epoch(tally.close(epoch)):
            return


class _Tally:
    """Running sums of one epoch."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.data_s = 0.0
        self.loss = self.right = 0.0
        self.clips = 0

    def timed(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Passes batches on and counts the time that steps wait for them."""
        began = time.perf_counter()
        for batch in batches:
            self.data_s += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def add(self, n: int, judged: Judged, pieces: int) -> None:
        """Counts one step, or a piece of one, whose loss is a sum and not a mean."""
        self.clips += n
        self.loss += float(judged.loss.detach()) * n * pieces
        self.right += judged.right

    def facts(self, epoch: int) -> dict[str, str | float]:
        """Gives what a progress bar shows."""
        seconds = time.perf_counter() - self.began
        return {
            "epoch": str(epoch + 1),
            "loss": self.loss / self.clips,
            "accuracy": f"{self.right / self.clips:.1%}",
            "clips/s": f"{self.clips / seconds:.0f}",
        }

    def close(self, epoch: int) -> EpochFacts:
        """Gives the facts of the finished epoch."""
        return EpochFacts(
            epoch=epoch,
            loss=self.loss / self.clips,
            accuracy=self.right / self.clips,
            clips=self.clips,
            seconds=time.perf_counter() - self.began,
            data_s=self.data_s,
        )
