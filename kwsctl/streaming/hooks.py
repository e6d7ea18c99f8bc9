"""Runs a command of the user's for each event, without keeping the listener waiting.

The command gets the event as one JSON object on its standard input, and its fields in the environment:
`KWSCTL_TIME_S`, `KWSCTL_KEYWORD`, `KWSCTL_SCORE`, `KWSCTL_USER`, `KWSCTL_MODEL`, `KWSCTL_SOURCE`. No shell
reads it unless that is asked for, and an event is never part of the command line.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from kwsctl.errors import InputError

WAITING = 100
"""Events that may wait for the commands of earlier ones; more are counted as not run."""


class CommandHook:
    """Runs a command for one event after the other, in a thread of its own.

    Attributes:
        ran: commands that ended well.
        failures: per reason, how many did not.

    Args:
        command: the program and its arguments, as a shell would split them.
        shell: let a shell run the command, with pipes and the like.
        timeout_s: a command that takes longer is ended and counts as a failure.

    Raises:
        InputError: the command is empty, or has an open quotation mark.
    """

    def __init__(self, command: str, *, shell: bool = False, timeout_s: float = 30.0) -> None:
        self._command: str | list[str] = command
        if not shell:
            try:
                self._command = shlex.split(command)
            except ValueError as error:
                raise InputError(f"--exec {command!r} cannot be read: {error}.", "Close it.") from None
        if not self._command:
            raise InputError("--exec is empty.", "Give a program, such as --exec 'notify-send kwsctl'.")
        self._shell, self._timeout_s = shell, timeout_s
        self._waiting: set[Future[str]] = set()
        self.ran, self.failures = 0, Counter[str]()

    def __enter__(self) -> Self:
        """Starts the thread."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kwsctl-exec")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for what is running; after an interruption, what has not begun is left out."""
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        self._collect()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Runs the command for an event, after those of earlier events.

        Args:
            event: JSON-able facts.
        """
        self._collect()
        if len(self._waiting) >= WAITING:
            self.failures[f"{WAITING} commands were waiting already"] += 1
            return
        self._waiting.add(self._pool.submit(self._run, dict(event)))

    def _run(self, event: dict[str, Any]) -> str:
        """Runs the command; gives why it failed, or nothing."""
        told = {f"KWSCTL_{name.upper()}": "" if v is None else str(v) for name, v in event.items()}
        try:
            done = subprocess.run(  # noqa: S603  # the command is the user's own
                self._command,
                shell=self._shell,
                input=json.dumps(event, ensure_ascii=False) + "\n",
                env={**os.environ, **told},
                stdout=subprocess.DEVNULL,  # the events are on ours
                encoding="utf-8",
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {self._timeout_s:g} s"
        except OSError as error:
            return f"it cannot be run ({error.strerror or error})"
        return f"it ended with {done.returncode}" if done.returncode else ""

    def _collect(self) -> None:
        """Counts the commands that have ended."""
        for future in [future for future in self._waiting if future.done()]:
            self._waiting.discard(future)
            if future.cancelled():
                self.failures["listening was interrupted before"] += 1
            elif reason := future.result():
                self.failures[reason] += 1
            else:
                self.ran += 1
