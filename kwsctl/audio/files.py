"""Reads any audio file that libsndfile knows as mono at one rate, and writes audio files.

A file that cannot be used is an `InputError` that names the file, the fault and the remedy, found
without trusting the header: nothing is allocated by what a header claims.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kwsctl.audio.resampling import context, ratio, resample_blocks
from kwsctl.errors import InputError
from kwsctl.storage import replacing

RATES_HZ = (4_000, 384_000)
"""Lowest and highest sample rate that is taken for real, in Hz."""

_BLOCK_VALUES = 2**20  # decoded at a time, over all channels
_SEEK_FRAMES = 4_096  # MP3 and Vorbis decoders need this much to settle after a seek
_BEYOND_END_S = 0.05  # a stretch may pass the end of the file by this much: durations are often rounded
_LOUDEST = 4.0  # float files may pass full scale by 12 dB; more is a wrong scale
_UNKNOWN_LENGTH = 0x7FFF_0000  # recorders that write to a pipe claim this many bytes or more
_DAMAGED = "Make or copy it again, or leave it out."
_FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says.

    Attributes:
        rate_hz: sample rate, in Hz.
        channels: number of channels.
        seconds: length, in s.
        format: container and coding, such as `WAV/PCM_16`.
    """

    rate_hz: int
    channels: int
    seconds: float
    format: str


def info(path: Path) -> AudioInfo:
    """Reads the header of an audio file, decoding nothing.

    Args:
        path: any file that libsndfile reads.

    Raises:
        InputError: the file cannot be opened, is not audio or is cut off.
    """
    with _opened(path) as sound:
        return AudioInfo(
            rate_hz=sound.samplerate,
            channels=sound.channels,
            seconds=sound.frames / sound.samplerate,
            format=f"{sound.format}/{sound.subtype}",
        )


def read(
    path: Path,
    *,
    rate_hz: int = 16_000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    max_s: float = 4 * 3600,
    channel: int | None = None,
) -> NDArray[np.float32]:
    """Reads audio, or a stretch of it, as the mean of its channels at one sample rate.

    A stretch is sought, not decoded from the start, and equals that slice of the whole file.

    Args:
        path: any file that libsndfile reads: WAV, FLAC, Ogg Vorbis and Opus, MP3, ...
        rate_hz: sample rate of the result, in Hz.
        start_s: where to begin, in s.
        duration_s: how much to read, in s; None for all the rest.
        max_s: longest stretch to read, in s.
        channel: which one to take, from 0; None for the mean of all.

    Returns:
        [S] samples in [-1, 1]; float files are clipped to that. S is `round(duration_s * rate_hz)`,
        or less by at most 50 ms if the file ends before.

    Raises:
        InputError: the file cannot be opened, is not audio, is empty, cut off, silent (all zero) or
            too long, holds NaN or Inf, or ends before the stretch does.
    """
    with _opened(path) as sound:
        first, last = _span(path, sound, rate_hz, start_s, duration_s, max_s)
        up, down = ratio(sound.samplerate, rate_hz)
        margin = context(sound.samplerate, rate_hz)
        # Decoding begins on a multiple of `down`, where an input and an output sample coincide.
        begin = max(0, first * down // up - margin - _SEEK_FRAMES) // down * down
        end = min(sound.frames, -(-last * down // up) + margin)
        blocks = _mono_blocks(path, sound, begin, end, channel)
        decoded = np.concatenate(list(resample_blocks(blocks, sound.samplerate, rate_hz)))
    offset = begin * up // down
    samples = decoded[first - offset : last - offset]
    if not samples.any():
        raise InputError(
            f"{_name(path)} is silent: every sample is zero.", "Check how it was recorded, or leave it out."
        )
    return samples.clip(-1.0, 1.0)


def write(path: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    """Writes mono audio with 16 bits; a reader sees the whole file or none.

    Args:
        path: ends in .wav, .flac or .ogg (Vorbis).
        samples: [S] in [-1, 1]; louder samples are clipped.
        rate_hz: sample rate, in Hz.

    Raises:
        InputError: another suffix, no or non-finite samples, or a place that cannot be written to.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{_name(path)} has no known audio suffix.", f"Use one of {', '.join(_FORMATS)}.")
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise InputError(
            f"{_name(path)} cannot hold samples of shape {samples.shape} with empty or non-finite values.",
            "Write finite mono samples of shape [S].",
        )
    container, coding = _FORMATS[path.suffix.lower()]
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    try:
        with (
            replacing(path) as temporary,
            soundfile.SoundFile(
                temporary, "w", samplerate=rate_hz, channels=1, format=container, subtype=coding
            ) as sound,
        ):
            for at in range(0, len(pcm), _BLOCK_VALUES // 16):  # libsndfile's Vorbis fails on long writes
                sound.write(pcm[at : at + _BLOCK_VALUES // 16])
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"{_name(path)} cannot be written: {_reason(error)}.", "Check the folder.") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Opens an audio file for reading and checks its header."""
    try:
        if not path.is_file():  # a pipe or device could block for ever
            what = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise InputError(f"{_name(path)} {what}.", "Name an audio file.")
        with path.open("rb", buffering=0) as file:
            if not os.fstat(file.fileno()).st_size:
                raise InputError(f"{_name(path)} is empty: 0 bytes.", _DAMAGED)
            # By descriptor, since libsndfile takes files of any content for audio by their suffix.
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                _check_header(path, sound)
                yield sound
    except OSError as error:
        raise InputError(
            f"{_name(path)} cannot be read: {_reason(error)}.", "Check the path and its permissions."
        ) from None
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{_name(path)} is not audio that can be decoded: {_reason(error)}.",
            "Use WAV, FLAC, Ogg or MP3; a damaged file must be made or copied again.",
        ) from None


def _check_header(path: Path, sound: soundfile.SoundFile) -> None:
    """Refuses headers that cannot be true."""
    if not RATES_HZ[0] <= sound.samplerate <= RATES_HZ[1]:
        raise InputError(
            f"{_name(path)} claims a sample rate of {sound.samplerate} Hz.",
            f"Use {RATES_HZ[0]}-{RATES_HZ[1]} Hz; a damaged file must be made or copied again.",
        )
    # libsndfile shortens what the header of a WAV or AIFF file claims to what is there, and logs it.
    sizes = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if sizes and int(sizes[2]) < int(sizes[1]) < _UNKNOWN_LENGTH:
        raise InputError(
            f"{_name(path)} is cut off: {sizes[2]} of {sizes[1]} bytes of audio are there.", _DAMAGED
        )
    if sound.frames <= 0:
        raise InputError(f"{_name(path)} is empty: it holds no samples.", _DAMAGED)
    if sound.frames >= 2**62:
        raise InputError(f"{_name(path)} does not say how long it is.", "Convert it to WAV.")


def _span(
    path: Path,
    sound: soundfile.SoundFile,
    rate_hz: int,
    start_s: float,
    duration_s: float | None,
    max_s: float,
) -> tuple[int, int]:
    """Finds the first and last output sample of a stretch, in samples at `rate_hz`."""
    seconds = sound.frames / sound.samplerate
    if not (0 <= start_s < seconds) or (duration_s is not None and not 0 < duration_s < float("inf")):
        raise InputError(
            f"{_name(path)} has no stretch of {duration_s} s from {start_s:g} s: it lasts {seconds:.3f} s.",
            "Check start_s and duration_s in the manifest.",
        )
    wanted_s = seconds - start_s if duration_s is None else duration_s
    if wanted_s > max_s:
        raise InputError(
            f"{_name(path)} lasts {wanted_s / 3600:.1f} hours; at most {max_s / 3600:g} are read.",
            "Cut it into shorter files, or make it again if its header is wrong.",
        )
    if start_s + wanted_s > seconds + _BEYOND_END_S:
        raise InputError(
            f"{_name(path)} ends at {seconds:.3f} s, before {start_s + wanted_s:.3f} s.",
            "Check start_s and duration_s in the manifest.",
        )
    up, down = ratio(sound.samplerate, rate_hz)
    total = -(-sound.frames * up // down)
    first = min(round(start_s * rate_hz), total - 1)
    return first, total if duration_s is None else min(total, first + max(1, round(duration_s * rate_hz)))


def _mono_blocks(
    path: Path, sound: soundfile.SoundFile, begin: int, end: int, channel: int | None
) -> Iterator[NDArray[np.float32]]:
    """Decodes frames `begin` to `end`, checks them and averages or picks the channels."""
    if channel is not None and not 0 <= channel < sound.channels:
        raise InputError(f"{_name(path)} has no channel {channel}, only {sound.channels}.", "Count from 0.")
    if begin:
        sound.seek(begin)
    block = np.empty((max(1, _BLOCK_VALUES // sound.channels), sound.channels), np.float32)
    while begin < end:
        frames = sound.read(out=block[: end - begin])
        if not len(frames):
            raise InputError(
                f"{_name(path)} is cut off: {begin} of {sound.frames} samples are there.", _DAMAGED
            )
        peak = np.abs(frames).max()
        if not np.isfinite(peak):
            raise InputError(f"{_name(path)} holds samples that are NaN or infinite.", _DAMAGED)
        if peak > _LOUDEST:
            raise InputError(
                f"{_name(path)} has a peak of {peak:.3g} times full scale.", "Scale its samples to [-1, 1]."
            )
        begin += len(frames)
        yield frames.mean(axis=1) if channel is None else frames[:, channel].copy()


def _name(path: Path) -> str:
    """Gives the path on one line."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _reason(error: Exception) -> str:
    """Gives what libsndfile or the operating system says, on one line, without its prefix and path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.rpartition(": ")[2].split()).rstrip(".") or type(error).__name__
