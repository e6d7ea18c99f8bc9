"""THE training loop: everything in kwsctl that learns by gradients calls `fit`.

What differs between training, enrolling, adapting and a federated client are the arguments: the
batches, the loss, which weights the optimizer holds, and what is done after an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from kwsctl.learning.losses import Loss
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


@dataclass(frozen=True)
class EpochFacts:
    """What happened in one epoch.

    Attributes:
        epoch: counted from 0.
        loss: mean over the clips.
        accuracy: share of clips, as augmented, whose target has the highest logit; for a target of -1,
            none may be positive.
        clips: how many.
        seconds: wall time of the epoch.
        data_s: part of it spent on making batches.
        rows: [clips] where they stand in the training set.
        logits: [clips, L] what the model said of them while it trained.
    """

    epoch: int
    loss: float
    accuracy: float
    clips: int
    seconds: float
    data_s: float
    rows: Tensor
    logits: Tensor


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    loss: Loss,
    optimizer: Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: Schedule,
    first_epoch: int = 0,
    average: AveragedModel | None = None,
    workers: Workers | None = None,
    on_epoch: Callable[[EpochFacts], bool] = lambda _: False,
    progress: Progress = silent,
) -> None:
    """Trains a model in place.

    Args:
        model: takes [B, F, T] and gives logits [B, L].
        batches: gives the batches of an epoch.
        loss: of logits and targets.
        optimizer: holds the weights to change.
        epochs: how many in all.
        steps_per_epoch: for the learning rate and the progress.
        learning_rate: by step.
        first_epoch: where a resumed run goes on.
        average: follows the model, see `kwsctl.learning.averaging`.
        workers: device and processes; the CPU alone by default.
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
            # bfloat16 needs no loss scaling; on a CPU it is slower than float32 for nets this small.
            with torch.autocast(workers.device.type, dtype=torch.bfloat16, enabled=on_gpu):
                logits = wrapped(batch.features)
            value = loss(logits.float(), batch.target)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            if average is not None:
                average.update_parameters(model)
            tally.add(batch, logits.detach().float(), value.detach())
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
        self.rows: list[Tensor] = []
        self.logits: list[Tensor] = []

    def timed(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Passes batches on and counts the time that making them takes."""
        began = time.perf_counter()
        for batch in batches:
            self.data_s += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def add(self, batch: Batch, logits: Tensor, loss: Tensor) -> None:
        """Counts one step."""
        n = len(batch.target)
        self.clips += n
        self.loss += float(loss) * n
        self.right += float((_predicted(logits, batch.target) == batch.target).sum())
        self.rows.append(batch.rows)
        self.logits.append(logits.cpu())

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
            rows=torch.cat(self.rows),
            logits=torch.cat(self.logits),
        )


def _predicted(logits: Tensor, target: Tensor) -> Tensor:
    """Gives the label with the highest logit; where targets may be -1, that if no logit is positive."""
    highest = logits.max(1)
    if bool((target >= 0).all()):
        return highest.indices
    return torch.where(highest.values > 0, highest.indices, -1)
