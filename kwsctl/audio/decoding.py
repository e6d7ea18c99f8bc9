"""Opens and decodes sound files with libsndfile, trusting neither their headers nor their content.

Every fault is an `InputError` that names the file, the fault and the remedy; nothing is allocated by
what a header claims.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kwsctl.errors import InputError

RATES_HZ = (4_000, 384_000)
"""Lowest and highest sample rate that is taken for real, in Hz."""

_BLOCK_VALUES = 2**20  # decoded at a time, over all channels
_SETTLE_FRAMES = 4_096  # decoders of lossy codings need this much to settle after a seek
_SETTLE_FRAMES_OF = {
    "OPUS": 2**14,
    "VORBIS": 2**18,  # more than a page: libsndfile is off by some samples after a seek into the last one
}
_LOUDEST = 4.0  # float files may pass full scale by 12 dB; more is a wrong scale
_UNKNOWN_LENGTH = 0x7FFF_0000  # recorders that write to a pipe claim this many bytes or more
_DAMAGED = "Make or copy it again, or leave it out."


@contextlib.contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Opens an audio file for reading and checks its header.

    Args:
        path: any file that libsndfile reads.

    Yields:
        The open file; libsndfile's errors within the block become `InputError`.

    Raises:
        InputError: the file is missing, unreadable, no audio, empty, cut off, or of an impossible rate.
    """
    try:
        if not path.is_file():  # a pipe or device could block for ever
            what = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise InputError(f"{one_line(path)} {what}.", "Name an audio file.")
        with path.open("rb", buffering=0) as file:
            if not os.fstat(file.fileno()).st_size:
                raise InputError(f"{one_line(path)} is empty: 0 bytes.", _DAMAGED)
            # By descriptor, since libsndfile takes files of any content for audio by their suffix.
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                _check_header(path, sound)
                yield sound
    except OSError as error:
        raise InputError(
            f"{one_line(path)} cannot be read: {reason(error)}.", "Check the path and its permissions."
        ) from None
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{one_line(path)} is not audio that can be decoded: {reason(error)}.",
            "Use WAV, FLAC, Ogg or MP3; a damaged file must be made or copied again.",
        ) from None


def _check_header(path: Path, sound: soundfile.SoundFile) -> None:
    """Refuses headers that cannot be true."""
    if not RATES_HZ[0] <= sound.samplerate <= RATES_HZ[1]:
        raise InputError(
            f"{one_line(path)} claims a sample rate of {sound.samplerate} Hz.",
            f"Use {RATES_HZ[0]}-{RATES_HZ[1]} Hz; a damaged file must be made or copied again.",
        )
    # libsndfile shortens what the header of a WAV or AIFF file claims to what is there, and logs it.
    sizes = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if sizes and int(sizes[2]) < int(sizes[1]) < _UNKNOWN_LENGTH:
        raise InputError(
            f"{one_line(path)} is cut off: {sizes[2]} of {sizes[1]} bytes of audio are there.", _DAMAGED
        )
    if sound.frames <= 0:
        raise InputError(f"{one_line(path)} is empty: it holds no samples.", _DAMAGED)
    if sound.frames >= 2**62:
        raise InputError(f"{one_line(path)} does not say how long it is.", "Convert it to WAV.")


def mono_blocks(
    path: Path, sound: soundfile.SoundFile, begin: int, end: int, channel: int | None
) -> Iterator[NDArray[np.float32]]:
    """Decodes frames `begin` to `end`, checks them and averages or picks the channels.

    Args:
        path: the file, for messages.
        sound: from `opened`.
        begin: first frame to give; what comes before is sought past, not decoded.
        end: one past the last frame to give.
        channel: which one to give, from 0; None for the mean of all.

    Yields:
        Stretches [S] of bounded length, end to end.

    Raises:
        InputError: no such channel, fewer frames than the header claims, or values that are no sound.
    """
    if channel is not None and not 0 <= channel < sound.channels:
        raise InputError(
            f"{one_line(path)} has no channel {channel}: it has {sound.channels}.", "Count from 0."
        )
    at = max(0, begin - _SETTLE_FRAMES_OF.get(sound.subtype, _SETTLE_FRAMES))
    if at:
        sound.seek(at)
    block = np.empty((min(end - at, max(1, _BLOCK_VALUES // sound.channels)), sound.channels), np.float32)
    while at < end:
        frames = sound.read(out=block[: end - at])
        _check_frames(path, sound, at, frames)
        wanted = frames[max(0, begin - at) :]
        at += len(frames)
        yield wanted.mean(axis=1) if channel is None else wanted[:, channel].copy()


def _check_frames(path: Path, sound: soundfile.SoundFile, at: int, frames: NDArray[np.float32]) -> None:
    """Refuses decoded frames [S, C] that are missing or are no sound."""
    if not len(frames):
        raise InputError(f"{one_line(path)} is cut off: {at} of {sound.frames} samples are there.", _DAMAGED)
    peak = np.abs(frames).max()
    if not np.isfinite(peak):
        raise InputError(f"{one_line(path)} holds samples that are NaN or infinite.", _DAMAGED)
    if peak > _LOUDEST:
        raise InputError(
            f"{one_line(path)} has a peak of {peak:.3g} times full scale.", "Scale its samples to [-1, 1]."
        )


def one_line(path: Path) -> str:
    """Gives the path on one line."""
    return str(path) if str(path).isprintable() else repr(str(path))


def reason(error: Exception) -> str:
    """Gives what libsndfile or the operating system says, on one line, without its prefix and path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.rpartition(": ")[2].split()).rstrip(".") or type(error).__name__
