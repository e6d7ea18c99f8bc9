"""Cuts clips of any length into the windows of one length that a network sees.

A keyword gives one window, centred on its speech. Anything else that is longer than a window
(sentences, television, noise) gives many overlapping ones, so that all of it is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio import vad
from kwsctl.data.decoding import FULL_SCALE, as_float
from kwsctl.data.store import ClipStore


@dataclass(frozen=True, eq=False)
class Windows:
    """M windows into a clip store.

    Attributes:
        clip: [M] index into the store.
        start: [M] first sample within the clip; negative where silence is put before the clip.
        target: [M] index of the label; -1 for "none of the labels".
        samples: S, length of each window.
    """

    clip: NDArray[np.int64]
    start: NDArray[np.int64]
    target: NDArray[np.int64]
    samples: int

    def __len__(self) -> int:
        return len(self.clip)

    def take(self, indices: NDArray[np.int64]) -> Windows:
        """Keeps some of the windows, in the given order."""
        return Windows(self.clip[indices], self.start[indices], self.target[indices], self.samples)


def cut(
    store: ClipStore,
    indices: NDArray[np.int64],
    target_of: Mapping[str, int],
    keywords: frozenset[str],
    clip_s: float,
) -> Windows:
    """Cuts windows of `clip_s` out of clips.

    Args:
        store: the audio.
        indices: which clips.
        target_of: index of each label; labels that are missing get -1.
        keywords: labels whose clips hold one word and so give one window.
        clip_s: length of a window, in s. Windows of other clips overlap by half.

    Returns:
        The windows, in the order of the clips.
    """
    size = round(clip_s * store.rate_hz)
    clip, start, target = [], [], []
    for index in indices:
        audio = store.audio(int(index))
        label = store.clips[index].label
        starts = (
            [_centred(audio, size, store.rate_hz)] if label in keywords else _overlapping(len(audio), size)
        )
        clip += [index] * len(starts)
        start += starts
        target += [target_of.get(label, -1)] * len(starts)
    return Windows(np.array(clip), np.array(start), np.array(target), size)


def gather(store: ClipStore, windows: Windows, margin: int = 0) -> NDArray[np.float32]:
    """Copies windows out of the store.

    Args:
        store: the audio.
        windows: M of S samples.
        margin: samples to add on both sides.

    Returns:
        [M, S + 2 * margin] in [-1, 1); zeros where a window reaches beyond its clip.
    """
    size = windows.samples + 2 * margin
    out = np.zeros((len(windows), size), dtype=np.float32)
    for row, clip, start in zip(out, windows.clip, windows.start - margin, strict=True):
        audio = store.audio(int(clip))
        first, last = max(start, 0), min(start + size, len(audio))
        if first < last:
            row[first - start : last - start] = audio[first:last]
    out /= FULL_SCALE
    return out


def usual_length_s(store: ClipStore, indices: NDArray[np.int64]) -> float:
    """Chooses the window length that fits nearly all keywords.

    Args:
        store: the audio.
        indices: clips of keywords.

    Returns:
        The 95th percentile of the length of their speech plus 0.2 s, at least 1 s, at most 2 s,
        in steps of 0.1 s. Clips of up to one second give one second.
    """
    lengths = np.diff(store.offsets)[indices] / store.rate_hz
    if np.percentile(lengths, 95) <= 1.05:
        return 1.0
    some = indices[:: max(1, len(indices) // 400)]
    spans = [vad.speech_span(as_float(store.audio(int(i))), store.rate_hz) for i in some]
    speech_s = float(np.percentile([end - start for start, end in spans], 95)) / store.rate_hz
    return float(np.clip(np.ceil((speech_s + 0.2) * 10) / 10, 1.0, 2.0))


def _centred(audio: NDArray[np.int16], size: int, rate_hz: int) -> int:
    if len(audio) <= size:
        return (len(audio) - size) // 2
    start, end = vad.speech_span(as_float(audio), rate_hz)
    return int(np.clip((start + end - size) // 2, 0, len(audio) - size))


def _overlapping(length: int, size: int) -> list[int]:
    if length <= size * 5 // 4:
        return [(length - size) // 2]
    n_windows = 1 + -(-(length - size) // (size // 2))
    return [round(start) for start in np.linspace(0, length - size, n_windows)]
