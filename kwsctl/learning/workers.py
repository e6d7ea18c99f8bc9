"""Where training runs: the device, and the processes that `torchrun` started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kwsctl.errors import DeviceError

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process among those that train together.

    Attributes:
        rank: 0 for the one that reports and writes.
        count: how many there are.
        device: what this one computes on.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Gives this process's part of a batch; all get equally many, so that gradients weigh the same."""
        usable = len(rows) // self.count * self.count
        return rows[self.rank : usable : self.count]

    def wrap(self, model: nn.Module) -> nn.Module:
        """Makes gradients averages over all processes."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def agree(self, tensor: Tensor) -> Tensor:
        """Gives every process the tensor of the one that leads."""
        if self.count > 1:
            dist.broadcast(tensor, src=0)
        return tensor

    def leader_first(self, action: Callable[[], T]) -> T:
        """Runs something in the process that leads, then in the others, which find it done."""
        if self.leads:
            done = action()
        if self.count > 1:
            dist.barrier()
        return done if self.leads else action()

    def largest(self, tensor: Tensor) -> Tensor:
        """Gives every process the element-wise maximum over all."""
        if self.count > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor


@contextmanager
def workers(device: str = "auto") -> Iterator[Workers]:
    """Joins the processes of `torchrun`, if it started this one.

    Args:
        device: `auto`, `cpu`, `cuda` or another name that torch knows.

    Yields:
        This process's place.

    Raises:
        DeviceError: the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local_rank = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = device_named(device, local_rank)
    if count == 1:
        yield Workers(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Workers(rank, count, chosen)
    finally:
        dist.destroy_process_group()


def device_named(name: str, local_rank: int = 0) -> torch.device:
    """Gives the device of a name.

    Args:
        name: `auto`, `cpu`, `cuda` or another name that torch knows.
        local_rank: place of this process on its machine, which of several GPUs it takes.

    Returns:
        The device.

    Raises:
        DeviceError: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"There is no device {name!r} here.", "Use the device cpu.")
    if name == "cuda":
        return torch.device("cuda", local_rank)
    try:
        return torch.device(name)
    except RuntimeError:
        raise DeviceError(f"torch knows no device {name!r}.", "Use cpu, cuda or auto.") from None
