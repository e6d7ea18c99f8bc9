"""Makes a clip of what an engine said: resonances, rate, silence around it, level; and judges it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kwsctl.data.voices._utterance import RATE_HZ

_MARGIN_S = 0.1
_FRAME_S = 0.01
_SPEECH_DB = -40.0  # below the loudest frame: breath and tails stay, digital hiss goes


def finish(
    samples: NDArray[np.float32], rate_hz: int, *, formant: float, level_db: float
) -> NDArray[np.float32]:
    """Shifts resonances, resamples to 16 kHz, trims and sets the level.

    Reading samples as if they were recorded at `formant` times their rate scales pitch, resonances
    and pace together; the engine has been asked for a pitch and pace that make up for it.

    Args:
        samples: [S] at `rate_hz`.
        rate_hz: of the engine, in Hz.
        formant: factor on the resonances.
        level_db: peak of the result in dB of full scale.

    Returns:
        [S'] at 16 kHz with 0.1 s around the speech; empty if nothing was said.
    """
    samples = _trim(_resample(samples, rate_hz * formant))
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(10 ** (level_db / 20) / peak) if peak > 0 else samples[:0]


def fault(samples: NDArray[np.float32], text: str, *, speed: float) -> str:
    """Says why a finished clip cannot be the text; empty if it can.

    Args:
        samples: [S] at 16 kHz.
        text: what was to be said.
        speed: factor on the voice's pace.

    Returns:
        The reason, or an empty text.
    """
    if len(samples) == 0:
        return "silent"
    seconds = (len(samples) / RATE_HZ - 2 * _MARGIN_S) * speed
    if seconds < 0.02 * len(text):
        return f"too short ({seconds:.2f} s)"
    if seconds > 1.0 + 0.2 * len(text):
        return f"too long ({seconds:.2f} s)"
    return ""


def saturated(samples: NDArray[np.float32]) -> bool:
    """Tells whether an engine drove its output into full scale for more than a passing peak.

    Args:
        samples: [S] as the engine gave them, in [-1, 1].

    Returns:
        True if more than one sample in a thousand is at full scale.
    """
    return len(samples) > 0 and float(np.mean(np.abs(samples) >= 0.999)) > 1e-3


def _resample(samples: NDArray[np.float32], from_hz: float) -> NDArray[np.float32]:
    """Changes the rate, any real number, to 16 kHz by cutting or extending the spectrum.

    What an engine says begins and ends in silence, so that the spectrum of the whole clip can be
    used; `audio.resampling` would cost each of eight worker processes the import of scipy.signal.
    """
    n_to = round(len(samples) * RATE_HZ / from_hz)
    if len(samples) == 0 or n_to == len(samples):
        return samples
    spectrum = np.fft.rfft(samples)
    spectrum[0] = 0.0  # no constant offset
    return (np.fft.irfft(spectrum, n_to) * (n_to / len(samples))).astype(np.float32)


def _trim(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts the silence around speech to `_MARGIN_S`, or fills it up to that."""
    frame = round(_FRAME_S * RATE_HZ)
    n_frames = len(samples) // frame
    if n_frames == 0:
        return samples[:0]
    power = np.square(samples[: n_frames * frame].reshape(n_frames, frame)).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (_SPEECH_DB / 10))
    if len(loud) == 0:
        return samples[:0]
    margin = round(_MARGIN_S * RATE_HZ)
    start, end = int(loud[0]) * frame, min(len(samples), (int(loud[-1]) + 1) * frame)
    padded = np.pad(samples, margin)
    return padded[start : end + 2 * margin]
