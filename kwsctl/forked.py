"""The same task for many numbers, in processes that are forked and find everything in memory as it is."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from kwsctl.errors import InputError, KwsctlError
from kwsctl.progress import Progress, silent
from kwsctl.threads import cores

T = TypeVar("T")
GOES_ON = "Type the same command again: it goes on. With fewer cores (taskset -c 0) it needs less memory."
"""A remedy where what is done is kept."""
_tasks: list[Callable[[int], Any]] = []  # one, in a forked process


def can_fork() -> bool:
    """Tells whether forking is safe: on Linux only, for macOS can fork, but its libraries then fail."""
    return sys.platform == "linux"


def chosen_workers(asked: int | None = None) -> int:
    """Gives how many processes there are: one for each core, unless said otherwise.

    Args:
        asked: how many; None leaves it open.

    Returns:
        The number; 1 is this process.

    Raises:
        InputError: none, or several where nothing can be forked.
    """
    if asked is None:
        return cores() if can_fork() else 1
    if asked < 1:
        raise InputError(f"{asked} workers let nobody learn.", "Use --workers 1, or leave it out.")
    if asked > 1 and not can_fork():
        raise InputError(f"{asked} workers need Linux, this is {sys.platform}.", "Leave --workers out.")
    return asked


def side_by_side(
    task: Callable[[int], T], count: int, workers: int, remedy: str, progress: Progress = silent
) -> Sequence[T]:
    """Does a task for each number below `count`, as many at a time as there are workers.

    Args:
        task: gives bytes, numbers or arrays, but no tensors: they would come back by shared memory.
        count: how often.
        workers: how many processes; 1 is this one.
        remedy: what to do if a process is killed.
        progress: counts what is done.

    Returns:
        What it gave, in order.

    Raises:
        KwsctlError: a process was killed, for example for lack of memory.
    """
    if min(workers, count) < 2:
        return [_counted(task, number, count, progress) for number in range(count)]
    try:
        return _forked(task, count, workers, progress)
    except BrokenProcessPool:
        raise KwsctlError(
            f"One of {workers} processes that worked side by side was killed; memory may be short.", remedy
        ) from None


def _counted(task: Callable[[int], T], number: int, count: int, progress: Progress) -> T:
    done = task(number)
    progress(number + 1, count)
    return done


def _forked(task: Callable[[int], T], count: int, workers: int, progress: Progress) -> list[T]:
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, count), fork, _begin, (task,)) as pool:
        try:
            with warnings.catch_warnings():
                # Later Pythons warn of threads at a fork; the children begin none and touch no lock of ours.
                warnings.simplefilter("ignore", DeprecationWarning)
                waiting = [pool.submit(_do, number) for number in range(count)]
            for done, one in enumerate(as_completed(waiting)):
                one.result()  # the first that failed ends it all
                progress(done + 1, count)
            return [one.result() for one in waiting]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(task: Callable[[int], Any]) -> None:
    """Takes over, by the fork, what the parent holds; Ctrl-C is the parent's to answer."""
    import torch  # here, since counting cores and the like need none of it

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _tasks.append(task)


def _do(number: int) -> Any:
    return _tasks[0](number)
