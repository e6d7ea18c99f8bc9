"""Decodes a list of clips into one file of samples, so that a killed process can go on.

Chunk by chunk the samples are appended to the audio file and synced, then one line is appended to
the journal and synced. Whatever the journal does not vouch for is cut off when work goes on, so the
finished file has the same bytes however often the work was interrupted.
"""

from __future__ import annotations

import functools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kwsctl import storage
from kwsctl.audio import files
from kwsctl.errors import KwsctlError
from kwsctl.progress import Progress, silent
from kwsctl.types import Clip

FULL_SCALE = 32768
"""The int16 value that stands for 1.0."""

_CHUNK_CLIPS = 256
_CHUNK_BYTES = 32 * 2**20
_BYTES_PER_SAMPLE = 2


@dataclass(frozen=True)
class Decoded:
    """What became of one clip.

    Attributes:
        samples: how many were kept; 0 if the clip was rejected.
        sha256: of the audio file, in hex; None if it could not be read at all.
        reason: why the clip was rejected; None if it was kept.
    """

    samples: int
    sha256: str | None
    reason: str | None


def decode_all(
    clips: Sequence[Clip], audio: Path, journal: Path, *, rate_hz: int, progress: Progress = silent
) -> list[Decoded]:
    """Decodes clips end to end into `audio`, going on where a killed call stopped.

    Args:
        clips: what to decode; the same list in every call for these two files.
        audio: int16 little-endian samples are appended here.
        journal: how much of `audio` is good; the caller deletes it at the end.
        rate_hz: sample rate to convert to.
        progress: called with the clips done, and `rejected` and `hours` so far.

    Returns:
        One entry per clip, in order.
    """
    done, journal_bytes = _read_journal(journal, audio)
    with audio.open("ab") as sound, journal.open("ab") as log:
        sound.truncate(sum(row.samples for row in done) * _BYTES_PER_SAMPLE)
        log.truncate(journal_bytes)
        _report(progress, done, len(clips), rate_hz)
        for chunk in _chunks(_in_parallel(_decoder(rate_hz), clips[len(done) :])):
            for _, samples in chunk:
                sound.write(samples.tobytes())
            _sync(sound)
            rows = [row for row, _ in chunk]
            log.write(_journal_line(rows))
            _sync(log)
            done += rows
            _report(progress, done, len(clips), rate_hz)
    return done


def _decoder(rate_hz: int) -> Callable[[Clip], tuple[Decoded, NDArray[np.int16]]]:
    sha256_of = functools.cache(storage.sha256_of)  # many clips may lie in one long file

    def decode(clip: Clip) -> tuple[Decoded, NDArray[np.int16]]:
        nothing, sha256 = np.zeros(0, dtype="<i2"), None
        try:
            sha256 = sha256_of(clip.path)
            wave = files.read(clip.path, rate_hz=rate_hz, start_s=clip.start_s, duration_s=clip.duration_s)
        except KwsctlError as error:
            return Decoded(0, sha256, error.message), nothing
        except OSError as error:
            return Decoded(0, sha256, f"{clip.path} cannot be read: {error.strerror or error}."), nothing
        scaled = np.clip(np.rint(wave * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
        return Decoded(len(scaled), sha256, None), scaled.astype("<i2")

    return decode


def _in_parallel(
    decode: Callable[[Clip], tuple[Decoded, NDArray[np.int16]]], clips: Sequence[Clip]
) -> Iterator[tuple[Decoded, NDArray[np.int16]]]:
    """Decodes in threads (libsndfile runs without the interpreter lock), a few clips ahead, in order."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[tuple[Decoded, NDArray[np.int16]]]] = deque()
    upcoming = iter(clips)
    with ThreadPoolExecutor(workers) as pool:
        waiting.extend(pool.submit(decode, clip) for clip in islice(upcoming, 4 * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(decode, clip) for clip in islice(upcoming, 1))


def _chunks(
    decoded: Iterator[tuple[Decoded, NDArray[np.int16]]],
) -> Iterator[list[tuple[Decoded, NDArray[np.int16]]]]:
    chunk: list[tuple[Decoded, NDArray[np.int16]]] = []
    for item in decoded:
        chunk.append(item)
        if len(chunk) == _CHUNK_CLIPS or sum(samples.nbytes for _, samples in chunk) >= _CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _journal_line(rows: Sequence[Decoded]) -> bytes:
    text = json.dumps([[row.samples, row.sha256, row.reason] for row in rows], separators=(",", ":"))
    return text.encode() + b"\n"


def _read_journal(journal: Path, audio: Path) -> tuple[list[Decoded], int]:
    """Gives what is known to be good, and the length of the journal that says so, in bytes."""
    done: list[Decoded] = []
    journal_bytes = samples = 0
    available = audio.stat().st_size // _BYTES_PER_SAMPLE if audio.is_file() else 0
    for line in journal.read_bytes().splitlines(keepends=True) if journal.is_file() else []:
        try:
            rows = [Decoded(*row) for row in json.loads(line)] if line.endswith(b"\n") else []
        except (ValueError, TypeError):
            rows = []
        if not rows:
            break  # the process, or the machine, died while writing it
        samples += sum(row.samples for row in rows)
        if samples > available:
            break  # the audio file was deleted or cut
        done += rows
        journal_bytes += len(line)
    return done, journal_bytes


def _report(progress: Progress, done: Sequence[Decoded], total: int, rate_hz: int) -> None:
    rejected = sum(row.reason is not None for row in done)
    progress(len(done), total, rejected=rejected, hours=sum(row.samples for row in done) / rate_hz / 3600)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def as_float(samples: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Brings samples to [-1, 1].

    Args:
        samples: int16 as in the store, or float32 in [-1, 1].

    Returns:
        float32 of the same shape.
    """
    if np.issubdtype(samples.dtype, np.integer):
        return np.asarray(samples / np.float32(FULL_SCALE), dtype=np.float32)
    return np.asarray(samples, dtype=np.float32)
