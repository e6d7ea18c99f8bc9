"""Changes the sample rate of audio, whole or block by block, with the same numbers either way.

A polyphase Kaiser-windowed low-pass filter (Crochiere & Rabiner 1983, ch. 2), run by scipy. It takes
any pair of rates; `torchaudio.functional.resample` would need gigabytes for rates without a common
divisor, such as 44101 and 16000 Hz, and would make reading a file depend on torch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_CROSSINGS = 32  # zero crossings of the sinc on each side: a transition of about 11 % of the band
_KAISER_BETA = 6.2  # 65 dB stopband: below the quantization noise of 16-bit speech
_CUTOFF = 0.94  # of the lower Nyquist frequency; with the transition above, the stopband begins at 1


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Changes the sample rate of a whole signal; its start stays where it was.

    Args:
        samples: [S] at `from_hz`.
        from_hz: rate of `samples`, in Hz.
        to_hz: rate of the result, in Hz.

    Returns:
        [ceil(S * to_hz / from_hz)] at `to_hz`.
    """
    up, down = ratio(from_hz, to_hz)
    if up == down or not len(samples):
        return samples
    import scipy.signal  # half a second, which files at the right rate do not need

    whole: NDArray[np.float32] = scipy.signal.resample_poly(samples, up, down, window=_filter(up, down))
    return whole


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], from_hz: int, to_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Changes the sample rate of a signal that comes in blocks, in bounded memory.

    Args:
        blocks: stretches of the signal, end to end, of any lengths.
        from_hz: rate of `blocks`, in Hz.
        to_hz: rate of the result, in Hz.

    Yields:
        Stretches at `to_hz`; end to end they equal `resample` of the whole.
    """
    up, down = ratio(from_hz, to_hz)
    if up == down:
        yield from blocks
        return
    held, held_from = np.zeros(0, np.float32), 0  # input not done with, and its place: a multiple of `down`
    done = 0  # output samples given so far
    for block in blocks:
        held = np.concatenate([held, block])
        ready = (held_from + len(held) - context(from_hz, to_hz)) * up // down
        if ready <= done:
            continue
        yield resample(held, from_hz, to_hz)[done - held_from * up // down : ready - held_from * up // down]
        done = ready
        keep_from = max(0, done * down // up - context(from_hz, to_hz)) // down * down
        held, held_from = held[max(0, keep_from - held_from) :], max(keep_from, held_from)
    yield resample(held, from_hz, to_hz)[done - held_from * up // down :]


def ratio(from_hz: int, to_hz: int) -> tuple[int, int]:
    """Gives the factors by which the rate goes up and down, without common divisor."""
    common = math.gcd(from_hz, to_hz)
    return to_hz // common, from_hz // common


def context(from_hz: int, to_hz: int) -> int:
    """Gives how many input samples on each side of an output sample it depends on."""
    up, down = ratio(from_hz, to_hz)
    return 0 if up == down else math.ceil(_CROSSINGS * max(up, down) / up) + 1


@functools.lru_cache(maxsize=32)
def _filter(up: int, down: int) -> NDArray[np.float32]:
    """Designs the low-pass filter [2 * _CROSSINGS * max(up, down) + 1]."""
    import scipy.signal

    taps = 2 * _CROSSINGS * max(up, down) + 1
    designed = scipy.signal.firwin(taps, _CUTOFF / max(up, down), window=("kaiser", _KAISER_BETA))
    return np.asarray(designed, dtype=np.float32)
