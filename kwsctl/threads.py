"""How many cores there are, and work that is better kept to one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def cores() -> int:
    """Gives how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keeps torch to one thread: several gain little on small batches, and wait for a core that is busy.

    Beside another program on one of two cores, an enrolment by two threads took fifty times as long.
    """
    import torch  # here, since counting cores needs none of it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
