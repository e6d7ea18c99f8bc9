"""Has many utterances spoken in parallel, each once: clips are cached under what shapes their sound.

Every engine runs in worker processes of its own (`python -m kwsctl.data.voices`), one native thread
each. A clip appears in the cache whole or not at all, so a killed run goes on where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from kwsctl import registry
from kwsctl.data.voices._utterance import Engine, Speaker, Utterance
from kwsctl.errors import ExtensionError, KwsctlError
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.threads import cores

_VOICES = "kwsctl.data.voices"
_CRASHES_FORGIVEN = 3  # of one engine in one worker slot


@dataclass(frozen=True)
class Spoken:
    """What became of an utterance.

    Attributes:
        utterance: what was to be said.
        path: the clip, FLAC at 16 kHz.
        rejected: why there is no clip; empty if there is one.
    """

    utterance: Utterance
    path: Path
    rejected: str = ""


def engine(name: str) -> Engine:
    """Imports one engine.

    Args:
        name: of a file in `kwsctl.data.voices`.

    Returns:
        The module.

    Raises:
        ExtensionError: no such engine.
    """
    return cast(Engine, registry.load(_VOICES, name))


def missing(names: Sequence[str] = ()) -> dict[str, str]:
    """Finds out which engines can speak here, fetching voices where one needs that.

    Args:
        names: engines to look at; none means all.

    Returns:
        Why not and what to do, for each engine; an empty text for those that can.
    """
    return {name: _why_not(engine(name)) for name in names or registry.names(_VOICES)}


def speakers(name: str) -> tuple[Speaker, ...]:
    """Lists the identities of an engine, the most different first.

    Args:
        name: of the engine.

    Returns:
        Speakers; the order never changes.
    """
    return engine(name).speakers()


def clip_path(utterance: Utterance, cache: Path) -> Path:
    """Names the clip of an utterance; the same utterance always has the same.

    Args:
        utterance: what is said.
        cache: folder of all clips.

    Returns:
        Where the clip is, or would be.
    """
    key = utterance.key(_version(utterance.speaker.engine))
    return cache / utterance.speaker.id / f"{utterance.slug()}-{key}.flac"


def speak(
    utterances: Sequence[Utterance], cache: Path, *, workers: int | None = None, progress: Progress = silent
) -> list[Spoken]:
    """Speaks what the cache does not hold.

    Args:
        utterances: of engines that are not `missing`.
        cache: folder of all clips.
        workers: processes at work at a time; None for one per CPU.
        progress: counts clips.

    Returns:
        One entry per utterance, in order.
    """
    paths = [clip_path(utterance, cache) for utterance in utterances]
    to_do = [i for i, path in enumerate(paths) if not path.is_file()]
    rejected: dict[int, str] = {}
    n_cached = len(utterances) - len(to_do)
    progress(n_cached, len(utterances))
    if to_do:
        # Mixed, so that the slow engines do not all come first and the time left is honest.
        numpy_generator(0, "order of speaking").shuffle(to_do)
        jobs = [(i, utterances[i], paths[i]) for i in to_do]
        n_workers = min(workers or cores(), len(jobs))
        for done, (i, reason) in enumerate(_in_parallel(jobs, n_workers), start=n_cached + 1):
            if reason:
                rejected[i] = reason
            progress(done, len(utterances), rejected=len(rejected))
    return [Spoken(u, paths[i], rejected.get(i, "")) for i, u in enumerate(utterances)]


_Job = tuple[int, Utterance, Path]


def _in_parallel(jobs: Sequence[_Job], n_workers: int) -> Iterator[tuple[int, str]]:
    """Yields the number of each job as it is done, with the reason if it was rejected."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    done: queue.SimpleQueue[tuple[int, str] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()

    def slot() -> None:
        with contextlib.ExitStack() as stack:
            processes: dict[str, _Worker] = {}
            with contextlib.suppress(queue.Empty):
                while not stop.is_set():
                    number, utterance, path = waiting.get_nowait()
                    name = utterance.speaker.engine
                    if name not in processes:
                        processes[name] = stack.enter_context(_Worker(name))
                    try:
                        done.put((number, processes[name].say(utterance, path)))
                    except Exception as error:  # handed to the caller's thread, which raises it
                        done.put(error)
                        return

    threads = [threading.Thread(target=slot, daemon=True) for _ in range(n_workers)]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Worker:
    """A process that speaks for one engine, started when first needed and again if it crashes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._crashes = 0

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._complaints.close()

    def say(self, utterance: Utterance, path: Path) -> str:
        """Has one utterance spoken; gives the reason if there is no clip of it."""
        if self._crashes >= _CRASHES_FORGIVEN:
            return f"{self._name} crashed {self._crashes} times"
        process = self._process = self._process or self._start()
        request = {"utterance": dataclasses.asdict(utterance), "path": str(path)}
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).write(json.dumps(request) + "\n")
            _pipe(process.stdin).flush()
            answer = _pipe(process.stdout).readline()
        if answer:
            return str(json.loads(answer).get("rejected", ""))
        self._crashes += 1
        code = self._stop()
        self._complaints.seek(0)
        last = (self._complaints.read().strip().splitlines() or [""])[-1]
        return f"{self._name} crashed (exit code {code}) {last}".strip()

    def _start(self) -> subprocess.Popen[str]:
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", _VOICES, self._name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, **one_thread, **engine(self._name).WORKER_ENVIRONMENT},
            text=True,
            encoding="utf-8",
        )

    def _stop(self) -> int:
        """Lets the process end with its input."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        _pipe(process.stdout).close()
        return process.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ExtensionError("A worker process has no pipes.")
    return pipe


def _why_not(candidate: Engine) -> str:
    try:
        candidate.prepare()
    except ImportError as error:
        return f"{error}. Type: {candidate.REMEDY}"
    except KwsctlError as error:
        return str(error)
    return ""


def _version(name: str) -> str:
    return importlib.metadata.version(engine(name).DISTRIBUTION)
