"""Runs and quantizes the streaming graph: a few frames at a time, with the state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from kwsctl.export.package import Package
from kwsctl.export.running import cpu_session

Arrays = Mapping[str, NDArray[np.float32]]
CALIBRATION_CLIPS, CALIBRATION_CHUNKS = 24, 240


class StreamRunner:
    """Hears features without end, and gives an embedding whenever a window ends.

    Args:
        session: of the streaming graph.
        start: the states before the first chunk.
        chunk_frames: feature frames a run.
    """

    def __init__(self, session: Any, start: Arrays, chunk_frames: int) -> None:
        self._session, self._start, self._chunk = session, dict(start), chunk_frames
        self.states = dict(start)
        self._names = [output.name for output in session.get_outputs()]

    def reset(self) -> None:
        """Begins a new stream, as after a long silence."""
        self.states = dict(self._start)

    def feed(self, chunk: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Gives the inputs of the next run: features [F, t] and the states."""
        return {"features": np.ascontiguousarray(chunk[None]), **self.states}

    def push(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hears the next frames.

        Args:
            chunk: features [F, t], t as many as the graph takes.

        Returns:
            [n, E] embeddings of the windows that ended.
        """
        found = dict(zip(self._names, self._session.run(None, self.feed(chunk)), strict=True))
        self.states = {name: found[f"next_{name}"] for name in self.states}
        embeddings: NDArray[np.float32] = found["embedding"][0]
        return embeddings

    def run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hears features [F, T] chunk by chunk, what is left over at the end not at all; gives [W, E]."""
        return np.concatenate([self.push(chunk) for chunk in chunks(features, self._chunk)])


def opened(package: Package) -> StreamRunner | None:
    """Opens the stream of a package on the CPU.

    Args:
        package: the package.

    Returns:
        The runner; None if the network cannot stream.
    """
    stream = package.manifest.stream
    if stream is None:
        return None
    start = safetensors.numpy.load_file(package.folder / stream.start)
    return StreamRunner(cpu_session(package.folder / stream.file), start, stream.chunk_frames)


def chunks(features: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    """Cuts features [F, T] into pieces of `size` frames, leaving out the rest."""
    for first in range(0, features.shape[1] - size + 1, size):
        yield features[:, first : first + size]


def calibration_feeds(stream: Any, heard: NDArray[np.float32]) -> list[dict[str, NDArray[np.float32]]]:
    """Runs the float stream over clips and keeps what goes in, as inputs of the calibration.

    Args:
        stream: see `graphs.StreamGraph`, with a safe graph.
        heard: [N, F, T] features of clips, which follow one another.

    Returns:
        Inputs spread over the clips.
    """
    runner = StreamRunner(cpu_session(stream.model), stream.after_silence, stream.chunk_frames)
    feeds = []
    for clip in heard[:CALIBRATION_CLIPS]:
        for chunk in chunks(clip, stream.chunk_frames):
            feeds.append(runner.feed(chunk))
            runner.push(chunk)
    return feeds[:: max(1, len(feeds) // CALIBRATION_CHUNKS)]


def save_start(stream: Any, path: Path) -> None:
    """Writes the states before the first chunk."""
    path.write_bytes(safetensors.numpy.save(dict(stream.after_silence)))
