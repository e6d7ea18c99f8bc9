"""Hears a stream with an exported package, window by window, and cuts it into segments; needs no torch.

The counterpart of `streaming/ear.py` and `learning/segments.py` with the package's own graphs. A window is
run only while something stands out of the noise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.export.runtime import Runtime
from kwsctl.export.takes import MARGIN_FRAMES
from kwsctl.streaming.gate import Gate
from kwsctl.types import POWER_FLOOR

Floats = NDArray[np.float32]
STEP_S, APART_S, AROUND_S = 0.1, 1.0, 0.4
REACH, STEP = 16, 4  # frames by which a segment is moved, as in learning/segments.py
BESIDE = MARGIN_FRAMES + REACH
Margins = Callable[[Floats], NDArray[np.floating]]
"""Gives the margins [N] of a keyword for embeddings [N, E]."""


@dataclass(frozen=True, eq=False)
class Window:
    """One window of a stream.

    Attributes:
        time_s: when it ends, in s from the beginning of the stream.
        wide: [F, T + 2 BESIDE] features, with some frames before and after; BESIDE is MARGIN_FRAMES once the
            window is where a keyword scores highest.
        embedding: [E]; None where the gate was closed.
    """

    time_s: float
    wide: Floats = field(repr=False)
    embedding: Floats | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Segment:
    """The window in which a keyword scores higher than in all around it.

    Attributes:
        window: that window.
        margin: of the keyword.
        around: margins of the windows just before and after it, and its own.
    """

    window: Window
    margin: float
    around: tuple[float, ...] = field(repr=False)


class Hearing:
    """Hears one stream.

    Attributes:
        windows: that were heard.
        seconds: of audio that were heard.

    Args:
        runtime: the opened package.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._spec = runtime.package.manifest.features
        self._n_frames = runtime.package.manifest.n_frames
        self._step = max(1, round(STEP_S * 1000 / self._spec.hop_ms))
        self._samples = np.zeros(0, np.float32)
        silence = np.full((self._spec.mel_bins, BESIDE), np.log(POWER_FLOOR), np.float32)
        self._frames: Floats = silence  # what lies before the stream, beside the first window
        self._gate = Gate(self._spec.hop_ms / 1000)
        self._open: deque[bool] = deque(maxlen=-(-self._n_frames // self._step) + 1)
        self._gated = self.windows = 0
        self.seconds = 0.0

    def push(self, samples: Floats) -> Iterator[Window]:
        """Takes the next samples [S]; yields the windows that are known with what follows them."""
        self.seconds += len(samples) / self._spec.sample_rate_hz
        self._samples = np.concatenate([self._samples, samples])
        features = self._runtime.features(self._samples)
        self._samples = self._samples[features.shape[1] * self._spec.hop_samples :]
        self._frames = np.concatenate([self._frames, features], axis=1)
        yield from self._ready()

    def flush(self) -> Iterator[Window]:
        """Ends the stream, as if silence followed; yields the windows that were waiting."""
        silence = np.full((self._spec.mel_bins, BESIDE), np.log(POWER_FLOOR), np.float32)
        self._frames = np.concatenate([self._frames, silence], axis=1)
        yield from self._ready()

    def _ready(self) -> Iterator[Window]:
        size = self._n_frames + 2 * BESIDE
        while self._frames.shape[1] >= size:
            wide = self._frames[:, :size].copy()
            new = wide[:, size - BESIDE - self._step : size - BESIDE]
            # The first window has all of its frames to look at, later ones those that are new in them.
            self._open.append(self._gate.push(new if self._gated else wide[:, BESIDE:-BESIDE]))
            self._gated += 1
            embedding = None
            if any(self._open):
                inside = wide[None, :, BESIDE : size - BESIDE]
                embedding = self._runtime.outputs(inside)[0][0]
            frames = self.windows * self._step + self._n_frames
            self.windows += 1
            self._frames = self._frames[:, self._step :]
            yield Window(round(frames * self._spec.hop_ms / 1000, 3), wide, embedding)


class Segmenter:
    """Finds the segments of one stream for one keyword."""

    def __init__(self) -> None:
        self._apart, self._near = round(APART_S / STEP_S), round(AROUND_S / STEP_S)
        self._recent: deque[tuple[Window | None, float]] = deque(maxlen=2 * self._apart + 1)
        self._recent.extend([(None, -np.inf)] * self._apart)

    def push(self, window: Window, margin: float) -> Segment | None:
        """Takes the next window, and its margin; gives the segment that is known now."""
        self._recent.append((window, margin))
        return self._decided()

    def flush(self) -> Iterator[Segment]:
        """Ends the stream; yields the segments that were waiting for what comes next."""
        for _ in range(self._apart):
            self._recent.append((None, -np.inf))
            found = self._decided()
            if found is not None:
                yield found

    def _decided(self) -> Segment | None:
        if len(self._recent) < 2 * self._apart + 1:
            return None
        values = [value for _, value in self._recent]
        window = self._recent[self._apart][0]
        if window is None or values[self._apart] == -np.inf or int(np.argmax(values)) != self._apart:
            return None
        near = values[self._apart - self._near : self._apart + self._near + 1]
        return Segment(window, values[self._apart], tuple(value for value in near if value > -np.inf))


def aligned(segment: Segment, runtime: Runtime, margins: Margins) -> Segment:
    """Moves a segment to where its keyword scores highest: windows of a stream lie too coarse for that.

    Args:
        segment: as a stream gave it.
        runtime: the opened package.
        margins: of its keyword.

    Returns:
        The best of the windows up to `REACH` frames around it, with `MARGIN_FRAMES` beside it.
    """
    manifest, wide = runtime.package.manifest, segment.window.wide
    places = range(0, 2 * REACH + 1, STEP)
    size = manifest.n_frames
    inside = np.stack([wide[:, MARGIN_FRAMES + place :][:, :size] for place in places])
    embeddings = runtime.outputs(inside)[0]
    scored = margins(embeddings)
    best = int(np.argmax(scored))
    time_s = segment.window.time_s + (places[best] - REACH) * manifest.features.hop_ms / 1000
    moved = wide[:, places[best] :][:, : size + 2 * MARGIN_FRAMES].copy()
    window = Window(round(time_s, 3), moved, embeddings[best])
    return Segment(window, float(scored[best]), segment.around)
