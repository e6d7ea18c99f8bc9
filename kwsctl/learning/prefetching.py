"""Makes the next batch while a step runs, where there is a core for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Makes items one ahead, in a thread of its own: torch gives up the interpreter while it computes.

    Args:
        items: read by nobody else.

    Yields:
        The same items, in their order; what is raised when one is made is raised where it is due.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "prefetched", _stay_single) as pool:
        ahead = pool.submit(_next, source)
        while item := ahead.result():
            ahead = pool.submit(_next, source)
            yield item[0]


def core_to_spare(device: torch.device) -> bool:
    """Tells whether batches can be made beside the steps without slowing them down.

    Steps that use all cores wait for the one that makes a batch: 10 % longer epochs on two cores.
    """
    return device.type != "cpu" or torch.get_num_threads() < (os.cpu_count() or 1)


def _stay_single() -> None:
    """Keeps torch in this thread from calling helpers, which would wait for a core and slow the step down."""
    torch.get_num_threads()  # sets this thread's number, which is lowered here and in no other thread
    threadpool_limits(1, "openmp")


def _next(source: Iterator[T]) -> tuple[T] | None:
    """Gives the next item in a tuple, None at the end."""
    for item in source:
        return (item,)
    return None
