"""Audio that is listened to, piece by piece: files, a folder of them, raw PCM on stdin, the microphone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio import files, microphone
from kwsctl.audio.folders import audio_files
from kwsctl.storage import sha256_of

READ_S = 0.1
STDIN, MICROPHONE = "-", "mic"

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """One stream of audio.

    Attributes:
        name: the file, `stdin` or `mic`.
        pieces: [S] samples each, to be used once.
        identity: sha256 of the file; empty where the audio comes only once.
        seconds: how long it is; None where that is not known.
    """

    name: str
    pieces: Iterator[Samples] = field(repr=False)
    identity: str = ""
    seconds: float | None = None


def sources(
    where: str,
    rate_hz: int,
    stdin: BinaryIO,
    *,
    identify: bool = False,
    on_lost: Callable[[], None] = lambda: None,
) -> Iterator[Source]:
    """Opens what is to be heard.

    Args:
        where: an audio file, a folder of them, `-` for raw PCM (16 bits, little endian, mono, at
            `rate_hz`) on stdin, or `mic`.
        rate_hz: sample rate, in Hz.
        stdin: where raw PCM comes from.
        identify: compute the sha256 of files.
        on_lost: told whenever samples of the microphone were lost.

    Yields:
        The streams one after the other, files in the order of their names.

    Raises:
        InputError: there is no such file, or no audio in the folder.
    """
    if where == STDIN:
        yield Source("stdin", pcm(stdin, rate_hz))
        return
    if where == MICROPHONE:
        yield Source("mic", microphone.pieces(rate_hz, on_lost))
        return
    for file in audio_files(Path(where)):
        seconds = files.info(file).seconds
        yield Source(
            str(file), files.blocks(file, rate_hz=rate_hz), sha256_of(file) if identify else "", seconds
        )


def pcm(stream: BinaryIO, rate_hz: int) -> Iterator[Samples]:
    """Reads raw PCM: signed 16 bits, little endian, mono.

    Args:
        stream: bytes.
        rate_hz: sample rate, in Hz.

    Yields:
        [S] as soon as they are there; an odd byte at the end is dropped.
    """
    odd = b""
    while content := _read(stream, 2 * round(READ_S * rate_hz)):
        content = odd + content
        odd = content[len(content) // 2 * 2 :]
        yield np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / 32768.0


def _read(stream: BinaryIO, count: int) -> bytes:
    # read1 gives what a pipe has, so that an event does not wait for the buffer to fill.
    read1 = getattr(stream, "read1", None)
    return bytes(read1(count) if read1 else stream.read(count))
