"""Clients of the simulation learn one after the other, on each core that may be used.

Processes are forked anew for each round: they find everything in memory as it is, nothing but the trained
weights is sent back, and memory grows with the number of processes alone. Each trains on one thread, as the
only process does, so that the result is the same to the last bit however many there are.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from kwsctl.federated.lessons import Lesson
from kwsctl.federated.local import Learned
from kwsctl.federated.session import Session
from kwsctl.forked import side_by_side
from kwsctl.threads import one_thread


def learn(
    session: Session, starts: Tensor, plans: Sequence[Lesson], corrections: Tensor | None
) -> list[Learned]:
    """Lets clients learn, as many at a time as the session has workers.

    Args:
        session: what does not change.
        starts: [K, P'] where each begins.
        plans: of K clients.
        corrections: [K, P'] added to every gradient; None for nothing.

    Returns:
        What each has learned, in order.

    Raises:
        KwsctlError: a process was killed, for example for lack of memory.
    """
    teach = functools.partial(_learn_one, session, starts, plans, corrections)
    workers = min(session.workers, len(plans))
    with one_thread():
        if workers < 2:
            return [teach(k) for k in range(len(plans))]
        found = side_by_side(
            functools.partial(_plainly, session, starts, plans, corrections),
            len(plans),
            workers,
            "Type the same command with --workers 1: it goes on after the last round.",
        )
    return [Learned(torch.frombuffer(bytearray(w), dtype=torch.float32), s, x) for w, s, x in found]


def _learn_one(
    session: Session, starts: Tensor, plans: Sequence[Lesson], corrections: Tensor | None, k: int
) -> Learned:
    correction = None if corrections is None else corrections[k]
    return session.resident.learn(starts[k], plans[k], session.inputs, session.work, correction)


def _plainly(
    session: Session, starts: Tensor, plans: Sequence[Lesson], corrections: Tensor | None, k: int
) -> tuple[bytes, int, float]:
    """Gives what a client has learned as bytes and numbers, for the way back to the parent."""
    learned = _learn_one(session, starts, plans, corrections, k)
    return learned.weights.contiguous().numpy().tobytes(), learned.steps, learned.loss
