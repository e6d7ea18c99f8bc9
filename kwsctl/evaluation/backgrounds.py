"""Scores continuous audio without keywords, from a manifest and from files of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kwsctl.audio import files
from kwsctl.audio.folders import audio_files
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.evaluation.operating_point import Background
from kwsctl.evaluation.scoring import score_blocks, score_stream
from kwsctl.evaluation.streams import ScoreStream
from kwsctl.progress import Progress, silent


def from_store(
    bundle: Bundle,
    store: ClipStore,
    indices: NDArray[np.int64],
    *,
    hop_s: float,
    batch_size: int,
    model: nn.Module | None = None,
    progress: Progress = silent,
) -> Background:
    """Scores the background clips of a manifest, each as a stream of its own.

    Args:
        bundle: the model.
        store: the clips.
        indices: those that hold no keyword.
        hop_s: from window to window, in s.
        batch_size: windows that the network sees at once.
        model: the bundle's network, where it is already built.
        progress: called with the clips done.

    Returns:
        One stream per clip.
    """
    streams: list[ScoreStream] = []
    for index in indices:
        audio = store.audio(int(index))
        streams.append(score_stream(bundle, audio, hop_s=hop_s, batch_size=batch_size, model=model))
        progress(len(streams), len(indices))
    return Background("manifest", streams)


def from_path(
    bundle: Bundle,
    path: Path,
    *,
    hop_s: float,
    batch_size: int,
    model: nn.Module | None = None,
    progress: Progress = silent,
) -> Background:
    """Scores an audio file, or all audio files of a folder, each as a stream of its own.

    Args:
        bundle: the model.
        path: the file or folder.
        hop_s: from window to window, in s.
        batch_size: windows that the network sees at once.
        model: the bundle's network, where it is already built.
        progress: called with the whole seconds done.

    Returns:
        One stream per file.

    Raises:
        InputError: the folder holds no audio file, or a file cannot be decoded.
    """
    found = audio_files(path)
    lengths_s = [files.info(file).seconds for file in found]
    streams: list[ScoreStream] = []
    for file in found:
        streams.append(
            score_blocks(
                bundle,
                files.blocks(file, rate_hz=bundle.features.sample_rate_hz),
                hop_s=hop_s,
                batch_size=batch_size,
                model=model,
                progress=_later(progress, sum(s.seconds for s in streams), sum(lengths_s)),
            )
        )
    return Background(str(path), streams)


def _later(progress: Progress, before_s: float, total_s: float) -> Progress:
    """Reports the seconds of one file as part of those of all files."""

    def report(done: int, _total: int | None, /, **facts: str | float) -> None:
        progress(int(before_s) + done, int(total_s), **facts)

    return report
