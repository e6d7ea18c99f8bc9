"""Clients of the simulation learn one after the other, on each core that may be used.

Processes are forked anew for each round: they find everything in memory as it is, nothing but the trained
weights is sent back, and memory grows with the number of processes alone. Each trains on one thread, as the
only process does, so that the result is the same to the last bit however many there are.
"""

from __future__ import annotations

import functools
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch
from torch import Tensor

from kwsctl.errors import InputError, KwsctlError
from kwsctl.federated.lessons import Lesson
from kwsctl.federated.local import Learned
from kwsctl.federated.session import Session
from kwsctl.threads import cores, one_thread

_Teach = Callable[[int], Learned]
_teach: list[_Teach] = []  # one, in a forked process


def chosen_workers(asked: int | None) -> int:
    """Gives how many processes there are: one for each core, unless said otherwise.

    Forking is safe on Linux only: macOS can fork, but its libraries then fail.

    Args:
        asked: how many; None leaves it open.

    Returns:
        The number; 1 is this process.

    Raises:
        InputError: none, or several where nothing can be forked.
    """
    can_fork = sys.platform == "linux"
    if asked is None:
        return cores() if can_fork else 1
    if asked < 1:
        raise InputError(f"{asked} workers let nobody learn.", "Use --workers 1, or leave it out.")
    if asked > 1 and not can_fork:
        raise InputError(f"{asked} workers need Linux, this is {sys.platform}.", "Leave --workers out.")
    return asked


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
        try:
            return _side_by_side(teach, len(plans), workers)
        except BrokenProcessPool:
            raise KwsctlError(
                f"One of {workers} processes that let clients learn was killed; memory may be short.",
                "Type the same command with --workers 1: it goes on after the last round.",
            ) from None


def _learn_one(
    session: Session, starts: Tensor, plans: Sequence[Lesson], corrections: Tensor | None, k: int
) -> Learned:
    correction = None if corrections is None else corrections[k]
    return session.resident.learn(starts[k], plans[k], session.inputs, session.work, correction)


def _side_by_side(teach: _Teach, count: int, workers: int) -> list[Learned]:
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, fork, _begin, (teach,)) as pool:
        try:
            with warnings.catch_warnings():
                # Later Pythons warn of threads at a fork; the children begin none and touch no lock of ours.
                warnings.simplefilter("ignore", DeprecationWarning)
                waiting = [pool.submit(_plainly, k) for k in range(count)]
            found = [one.result() for one in waiting]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [Learned(torch.frombuffer(bytearray(w), dtype=torch.float32), s, x) for w, s, x in found]


def _begin(teach: _Teach) -> None:
    """Takes over, by the fork, what the parent holds; Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _teach.append(teach)


def _plainly(k: int) -> tuple[bytes, int, float]:
    """Gives what a client has learned as bytes and numbers, for the way back to the parent."""
    learned = _teach[0](k)
    return learned.weights.contiguous().numpy().tobytes(), learned.steps, learned.loss
