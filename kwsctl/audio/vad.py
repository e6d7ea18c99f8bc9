"""Finds where somebody speaks in a clip by its energy: for trimming, not a detector of speech against noise.

Levels of 25 ms frames are compared with the clip's own noise floor, a low percentile of them; gaps
shorter than those between syllables are bridged (hang-over), clicks are dropped.
"""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

_FRAME_S = 0.025
_HOP_S = 0.010
_SILENCE_DB = 60.0  # below the peak: digital silence, which says nothing of the noise
_LOWEST_FLOOR_DB = 40.0  # below the peak: softer sounds than this are not speech in any case
_STEADY_DB = 6.0  # between the 10th and 30th percentile: steady noise rather than soft speech
_LEAST_RISE_DB = 4.5  # above the floor; below this, fluctuations of the noise would count
_RISE_SHARE = 0.35  # of the way from the floor to the peak
_LEAST_SPEECH_DB = 8.0  # peak above floor, for there to be speech at all
_BRIDGE_S = 0.25  # pauses inside a phrase: stops, "hey ... computer"
_SHORTEST_S = 0.06  # less is a click
_MARGIN_S = 0.05  # soft onsets and endings
_HIGH_PASS_HZ = 100.0  # below is rumble, hum and offset


def speech_span(samples: NDArray[np.float32], rate_hz: int) -> tuple[int, int]:
    """Finds the loudest connected speech.

    Args:
        samples: [S] at `rate_hz`.
        rate_hz: sample rate, in Hz.

    Returns:
        First sample of the speech and the one after its last; the whole clip if nothing stands out.
    """
    spans = speech_spans(samples, rate_hz)
    if not spans:
        return 0, len(samples)
    return max(spans, key=lambda span: float(np.square(samples[span[0] : span[1]], dtype=np.float64).sum()))


def speech_spans(samples: NDArray[np.float32], rate_hz: int) -> list[tuple[int, int]]:
    """Finds all connected speech.

    Args:
        samples: [S] at `rate_hz`.
        rate_hz: sample rate, in Hz.

    Returns:
        Of each stretch the first sample and the one after its last; none if nothing stands out.
    """
    levels_db = _levels_db(samples, rate_hz)
    if not len(levels_db):
        return []
    peak = levels_db.max()
    floor = _noise_floor_db(levels_db)
    if peak - floor < _LEAST_SPEECH_DB:
        return []
    active = levels_db > floor + max(_LEAST_RISE_DB, _RISE_SHARE * (peak - floor))
    runs = [run for run in _runs(active) if (run[1] - run[0]) * _HOP_S >= _SHORTEST_S]
    spans = []
    for first, last in _bridged(runs):
        begin = round((first * _HOP_S - _MARGIN_S) * rate_hz)
        end = round(((last - 1) * _HOP_S + _FRAME_S + _MARGIN_S) * rate_hz)
        spans.append((max(0, begin), min(len(samples), end)))
    return spans


def _levels_db(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """Measures the level of each frame above 100 Hz, in dB; digital silence is -200."""
    frame, hop = round(_FRAME_S * rate_hz), round(_HOP_S * rate_hz)
    if len(samples) < frame:
        return np.zeros(0)
    sections = scipy.signal.butter(2, _HIGH_PASS_HZ, "highpass", fs=rate_hz, output="sos")
    power = np.square(scipy.signal.sosfilt(sections, samples.astype(np.float64)))
    total = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(samples) - frame + 1, hop)
    mean = (total[starts + frame] - total[starts]) / frame
    levels_db: NDArray[np.float64] = 10 * np.log10(mean.clip(min=1e-20))
    return levels_db


def _noise_floor_db(levels_db: NDArray[np.float64]) -> float:
    """Estimates the level of the noise between speech, whether or not parts are digital silence."""
    lowest = float(levels_db.max()) - _LOWEST_FLOOR_DB
    audible = levels_db[levels_db > levels_db.max() - _SILENCE_DB]
    tenth, thirtieth = np.percentile(audible, [10, 30])
    padded = len(audible) < 0.9 * len(levels_db)
    if padded and thirtieth - tenth > _STEADY_DB:
        return lowest  # speech in digital silence, without noise
    return max(float(tenth), lowest)


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Lists the runs of true values as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _bridged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins runs whose gap is short."""
    joined = runs[:1]
    for first, last in runs[1:]:
        if (first - joined[-1][1]) * _HOP_S <= _BRIDGE_S:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
