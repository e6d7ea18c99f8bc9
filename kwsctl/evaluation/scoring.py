"""Runs a bundle over clips and over continuous audio.

Audio of any length is scored in bounded memory.

A clip shorter than the network's window is centred in digital silence, as in training. Over a
longer one the window slides: a keyword scores what it scores in its best window, and `_unknown_`
and `_silence_` what they score in the window in which any keyword scores best, because the quiet
beginning of a clip does not make it silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kwsctl.bundle import Bundle
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.evaluation.streams import HOP_S, ScoreStream
from kwsctl.evaluation.windowing import Audio, Scorer
from kwsctl.progress import Progress, silent
from kwsctl.types import BACKGROUND, RESERVED_LABELS, UNKNOWN, Scores


def target_index(label: str, labels: Sequence[str]) -> int:
    """Finds the output that is right for a clip.

    Args:
        label: of the clip.
        labels: L names of the outputs.

    Returns:
        The label's index; for other words the index of `_unknown_`; -1 where there is none.
    """
    if label in labels:
        return labels.index(label)
    return labels.index(UNKNOWN) if UNKNOWN in labels and label != BACKGROUND else -1


def score_clips(
    bundle: Bundle,
    store: ClipStore,
    indices: NDArray[np.int64] | Sequence[int],
    *,
    model: nn.Module | None = None,
    batch_size: int = 256,
    progress: Progress = silent,
) -> Scores:
    """Scores each clip once.

    Args:
        bundle: the model.
        store: the clips.
        indices: N of them.
        model: the bundle's network, where it is already built.
        batch_size: windows that the network sees at once.
        progress: called with the clips done.

    Returns:
        One row of scores per clip, in the order of `indices`.

    Raises:
        InputError: the store's sample rate is not the model's.
        BundleError: a score is not a finite number.
    """
    reserved = [label in RESERVED_LABELS for label in bundle.labels]
    values = np.empty((len(indices), len(bundle.labels)), dtype=np.float32)
    scorer = Scorer(bundle, model, hop_s=HOP_S, batch_size=batch_size)
    for rows, windows in scorer.clips(store, indices, context_s=0.0, progress=progress):
        values[rows] = _best_windows(windows, np.array(reserved))
    clips = [store.clips[int(index)] for index in indices]
    lengths = np.diff(store.offsets)[np.asarray(indices, dtype=np.int64)]
    return Scores(
        labels=bundle.labels,
        values=values,
        target=np.array([target_index(clip.label, bundle.labels) for clip in clips], dtype=np.int64),
        clip_ids=[clip.id for clip in clips],
        speakers=[clip.speaker for clip in clips],
        seconds=float(lengths.sum()) / store.rate_hz,
    )


def score_clips_as_streams(
    bundle: Bundle,
    store: ClipStore,
    indices: NDArray[np.int64] | Sequence[int],
    *,
    hop_s: float = HOP_S,
    model: nn.Module | None = None,
    batch_size: int = 256,
    progress: Progress = silent,
) -> list[ScoreStream]:
    """Scores each clip as a device would hear it: half a window of silence, the clip, silence again.

    Args:
        bundle: the model.
        store: the clips.
        indices: N of them.
        hop_s: from window to window, in s; a multiple of the feature hop.
        model: the bundle's network, where it is already built.
        batch_size: windows that the network sees at once.
        progress: called with the clips done.

    Returns:
        One stream per clip, in the order of `indices`.

    Raises:
        InputError: the store's sample rate is not the model's, or `hop_s` is no multiple.
        BundleError: a score is not a finite number.
    """
    scorer = Scorer(bundle, model, hop_s=hop_s, batch_size=batch_size)
    streams: list[ScoreStream | None] = [None] * len(indices)
    for rows, windows in scorer.clips(store, indices, context_s=bundle.clip_s / 2, progress=progress):
        for row, values in zip(rows, windows, strict=True):
            streams[row] = scorer.stream(values)
    return [stream for stream in streams if stream is not None]


def score_stream(
    bundle: Bundle,
    samples: Audio,
    *,
    hop_s: float = HOP_S,
    model: nn.Module | None = None,
    batch_size: int = 256,
    progress: Progress = silent,
) -> ScoreStream:
    """Scores continuous audio, window by window.

    Args:
        bundle: the model.
        samples: [S] at the model's rate, int16 or float32 in [-1, 1]; may be mapped from disk. If
            there is less than one window, silence is put before it.
        hop_s: from window to window, in s; a multiple of the feature hop.
        model: the bundle's network, where it is already built.
        batch_size: windows that the network sees at once.
        progress: called with the whole seconds done.

    Returns:
        One row of scores per window.

    Raises:
        InputError: `hop_s` is no multiple of the feature hop, or there is no audio.
        BundleError: a score is not a finite number.
    """
    size = batch_size * bundle.features.samples(hop_s)
    blocks = (samples[start : start + size] for start in range(0, len(samples), max(1, size)))
    total = len(samples) / bundle.features.sample_rate_hz
    return score_blocks(
        bundle, blocks, hop_s=hop_s, model=model, batch_size=batch_size, progress=progress, total_s=total
    )


def score_blocks(
    bundle: Bundle,
    blocks: Iterable[Audio],
    *,
    hop_s: float = HOP_S,
    model: nn.Module | None = None,
    batch_size: int = 256,
    progress: Progress = silent,
    total_s: float | None = None,
) -> ScoreStream:
    """Scores continuous audio that arrives in pieces, such as from a file longer than memory.

    Args:
        bundle: the model.
        blocks: consecutive pieces of any length, see `score_stream`.
        hop_s: from window to window, in s; a multiple of the feature hop.
        model: the bundle's network, where it is already built.
        batch_size: windows that the network sees at once.
        progress: called with the whole seconds done.
        total_s: length of all pieces, where it is known, in s.

    Returns:
        One row of scores per window.

    Raises:
        InputError: `hop_s` is no multiple of the feature hop, or there is no audio.
        BundleError: a score is not a finite number.
    """
    scorer = Scorer(bundle, model, hop_s=hop_s, batch_size=batch_size)
    rate_hz = bundle.features.sample_rate_hz
    scored: list[NDArray[np.float32]] = []
    pending = np.zeros(0, dtype=np.float32)
    heard = 0
    for block in blocks:
        heard += len(block)
        pending = np.concatenate([pending, as_float(block)])
        n_windows = scorer.windows_in(len(pending))
        if n_windows:
            scored.append(scorer.windows(pending[None])[0])
            pending = pending[n_windows * scorer.hop :]
        progress(heard // rate_hz, None if total_s is None else int(total_s))
    if not heard:
        raise InputError("There is no audio to score: 0 samples.", "Check the file.")
    if not scored:
        scored.append(scorer.windows(np.pad(pending, (scorer.size - heard, 0))[None])[0])
    return scorer.stream(np.concatenate(scored), heard)


def _best_windows(windows: NDArray[np.float32], reserved: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Reduces [B, W, L] to [B, L], see the module's text."""
    best: NDArray[np.float32] = windows.max(axis=1)
    if reserved.all():
        return best
    most_alike = windows[:, :, ~reserved].max(axis=2).argmax(axis=1)
    there = np.take_along_axis(windows, most_alike[:, None, None], axis=1)[:, 0]
    best[:, reserved] = there[:, reserved]
    return best
