"""Reads any audio file that libsndfile knows as mono at one rate, and writes audio files.

A file that cannot be used is an `InputError` that names the file, the fault and the remedy, found
without trusting the header: nothing is allocated by what a header claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from kwsctl.audio.decoding import mono_blocks, one_line, opened, reason
from kwsctl.audio.resampling import context, ratio, resample_blocks
from kwsctl.errors import InputError
from kwsctl.storage import replacing

_BEYOND_END_S = 0.05  # a stretch may pass the end of the file by this much: durations are often rounded
_WRITE_FRAMES = 2**16  # at a time: libsndfile's Vorbis encoder crashes on two million
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

    Returns:
        What the header says, with the length that is there.

    Raises:
        InputError: the file cannot be opened, is not audio or is cut off.
    """
    with opened(path) as sound:
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
    with opened(path) as sound:
        first, last = _span(path, sound, rate_hz, start_s, duration_s, max_s)
        up, down = ratio(sound.samplerate, rate_hz)
        margin = context(sound.samplerate, rate_hz)
        # Decoding begins on a multiple of `down`, where an input and an output sample coincide.
        begin = max(0, first * down // up - margin) // down * down
        end = min(sound.frames, -(-last * down // up) + margin)
        parts = resample_blocks(mono_blocks(path, sound, begin, end, channel), sound.samplerate, rate_hz)
        decoded = np.concatenate(list(parts))
    offset = begin * up // down
    samples = decoded[first - offset : last - offset]
    if not samples.any():
        raise _silent(path)
    return samples.clip(-1.0, 1.0)


def blocks(path: Path, *, rate_hz: int = 16_000) -> Iterator[NDArray[np.float32]]:
    """Reads audio of any length from its start, in bounded memory; parts of it may be silent.

    Args:
        path: any file that libsndfile reads.
        rate_hz: sample rate of the result, in Hz.

    Yields:
        Stretches [S] of about a minute at most; end to end they equal what `read` gives.

    Raises:
        InputError: as `read`; a fault within the file comes when its place is reached, and silence of
            the whole file at the end.
    """
    sounds = False
    with opened(path) as sound:
        decoded = mono_blocks(path, sound, 0, sound.frames, None)
        for block in resample_blocks(decoded, sound.samplerate, rate_hz):
            sounds = sounds or bool(block.any())
            yield block.clip(-1.0, 1.0)
    if not sounds:
        raise _silent(path)


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
        raise InputError(f"{one_line(path)} has no known audio suffix.", f"Use one of {', '.join(_FORMATS)}.")
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise InputError(
            f"{one_line(path)} cannot hold samples of shape {samples.shape} with empty or non-finite values.",
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
            for at in range(0, len(pcm), _WRITE_FRAMES):
                sound.write(pcm[at : at + _WRITE_FRAMES])
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"{one_line(path)} cannot be written: {reason(error)}.", "Check the path.") from None


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
            f"{one_line(path)} has no stretch of {duration_s} s at {start_s:g} s: it lasts {seconds:.3f} s.",
            "Check start_s and duration_s in the manifest.",
        )
    wanted_s = seconds - start_s if duration_s is None else duration_s
    if wanted_s > max_s:
        raise InputError(
            f"{one_line(path)} lasts {_length(wanted_s)}; at most {_length(max_s)} are read.",
            "Cut it into shorter files, or make it again if its header is wrong.",
        )
    if start_s + wanted_s > seconds + _BEYOND_END_S:
        raise InputError(
            f"{one_line(path)} ends at {seconds:.3f} s, before {start_s + wanted_s:.3f} s.",
            "Check start_s and duration_s in the manifest.",
        )
    up, down = ratio(sound.samplerate, rate_hz)
    total = -(-sound.frames * up // down)
    first = min(round(start_s * rate_hz), total - 1)
    return first, total if duration_s is None else min(total, first + max(1, round(duration_s * rate_hz)))


def _silent(path: Path) -> InputError:
    return InputError(
        f"{one_line(path)} is silent: every sample is zero.", "Record it again, or leave it out."
    )


def _length(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.1f} s"
