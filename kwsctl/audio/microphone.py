"""Records from the microphone, and plays back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import DeviceError

BLOCK_S = 0.05


def record(
    seconds: float, rate_hz: int, on_level: Callable[[float, float], None] = lambda _elapsed_s, _peak: None
) -> NDArray[np.float32]:
    """Records one clip.

    Args:
        seconds: how long.
        rate_hz: sample rate, in Hz.
        on_level: told the time since the start in s and the peak, for a level meter, twenty times a second.

    Returns:
        [S] in [-1, 1].

    Raises:
        DeviceError: no microphone, or nothing to drive it with.
    """
    device = _sounddevice()
    block = round(BLOCK_S * rate_hz)
    blocks: list[NDArray[np.float32]] = []
    try:
        with device.InputStream(samplerate=rate_hz, channels=1, dtype="float32", blocksize=block) as stream:
            for number in range(-(-round(seconds * rate_hz) // block)):
                samples, _overflowed = stream.read(block)
                blocks.append(np.array(samples[:, 0], dtype=np.float32))
                on_level((number + 1) * BLOCK_S, float(np.abs(blocks[-1]).max(initial=0.0)))
    except device.PortAudioError as error:
        raise DeviceError(f"The microphone does not work: {error}.", "Is one plugged in?") from None
    return np.concatenate(blocks)[: round(seconds * rate_hz)]


def pieces(rate_hz: int, on_lost: Callable[[], None] = lambda: None) -> Iterator[NDArray[np.float32]]:
    """Listens until it is told to stop.

    Args:
        rate_hz: sample rate, in Hz.
        on_lost: told whenever samples were lost, because the listener was too slow.

    Yields:
        [S] in [-1, 1], twenty times a second.

    Raises:
        DeviceError: no microphone, or nothing to drive it with.
    """
    device = _sounddevice()
    block = round(BLOCK_S * rate_hz)
    try:
        with device.InputStream(samplerate=rate_hz, channels=1, dtype="float32", blocksize=block) as stream:
            while True:
                samples, lost = stream.read(block)
                if lost:
                    on_lost()
                yield np.array(samples[:, 0], dtype=np.float32)
    except device.PortAudioError as error:
        raise DeviceError(f"The microphone does not work: {error}.", "Is one plugged in?") from None


def play(samples: NDArray[np.float32], rate_hz: int) -> None:
    """Plays a clip and waits for its end.

    Args:
        samples: [S] in [-1, 1].
        rate_hz: sample rate, in Hz.

    Raises:
        DeviceError: no loudspeaker, or nothing to drive it with.
    """
    device = _sounddevice()
    try:
        device.play(samples, rate_hz, blocking=True)
    except device.PortAudioError as error:
        raise DeviceError(f"Nothing can be played: {error}.", "Leave playback out.") from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise DeviceError("Recording needs sounddevice.", "Type: pip install 'kwsctl[mic]'") from None
    except OSError as error:
        raise DeviceError(f"Recording needs PortAudio: {error}.", "Type: apt install libportaudio2") from None
    return sounddevice
