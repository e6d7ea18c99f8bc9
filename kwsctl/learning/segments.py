"""Cuts a stream into segments: the windows in which a keyword scores higher than in all around them."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kwsctl.features.logmel import compress
from kwsctl.learning.adapters._enrolment import MILD, margins
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.streaming.ear import Ear, Heard
from kwsctl.streaming.torch_engine import TorchEngine

APART_S = 1.0
"""A segment's window is the best within so much time before and after it, in s."""
AROUND_S = 0.4
MARGIN = MILD.shift_frames
"""Frames kept on both sides of a window, for small shifts."""
REACH, STEP = 16, 4
"""A stream is scored every few frames, which in a loud room is too coarse: a segment's window is the best of
those up to `REACH` frames around, `STEP` frames apart."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One window of a stream that is worth a thought.

    Attributes:
        window: its number in the stream.
        time_s: when it ends, in s from the beginning of the stream.
        margin: of the keyword, in that window alone, without what lies around it.
        around: margins of the windows just before and after it, and its own.
        power: [F, T + 2 MARGIN] mel power.
    """

    window: int
    time_s: float
    margin: float
    around: tuple[float, ...] = field(repr=False)
    power: Tensor = field(repr=False)

    @property
    def digest(self) -> str:
        """Names the segment by its content, so that the same audio is known again."""
        levels = (self.power.clamp_min(1e-9).log() * 4).round().to(torch.int16).numpy()
        return hashlib.sha256(levels.tobytes()).hexdigest()[:16]


class Segmenter:
    """Finds the segments of one stream.

    Args:
        ear: hears the stream.
        keyword: a label of its model.
    """

    def __init__(self, ear: Ear[TorchEngine], keyword: str) -> None:
        self._ear, self._keyword = ear, keyword
        self._apart = max(1, round(APART_S / ear.hop_s))
        self._near = max(1, round(AROUND_S / ear.hop_s))
        self._recent: deque[tuple[int, float]] = deque(maxlen=2 * self._apart + 1)

    def push(self, heard: Heard) -> list[Segment]:
        """Takes what was said of the next windows.

        Args:
            heard: from the ear, in order.

        Returns:
            The segments that are known now.
        """
        found = []
        # A window of the ear that slept is no candidate, and ends the neighbourhood of others.
        values = torch.full((len(heard.logits),), -np.inf, dtype=torch.float64)
        if heard.awake.any():
            values = margins(self._ear.engine.bundle, self._keyword, torch.from_numpy(heard.logits)).double()
        for offset, value in enumerate(values.tolist()):
            self._recent.append((heard.first + offset, value))
            found += self._decided()
        return found

    def flush(self) -> list[Segment]:
        """Ends the stream and gives the segments that were waiting for what comes next."""
        found = []
        for _ in range(self._apart):
            self._recent.append((self._recent[-1][0] + 1 if self._recent else 0, -np.inf))
            found += self._decided()
        self._recent.clear()
        return found

    def _decided(self) -> list[Segment]:
        """Gives the window in the middle if it is the best of all."""
        if len(self._recent) < self._recent.maxlen:  # type: ignore[operator]  # it has one
            return []
        values = [value for _, value in self._recent]
        middle = self._apart
        # Of equal ones the first counts.
        if values[middle] == -np.inf or middle != int(np.argmax(values)):
            return []
        window = self._recent[middle][0]
        around = tuple(v for v in values[middle - self._near : middle + self._near + 1] if v > -np.inf)
        for reach in (REACH, 0):  # at the ends of a stream there is nothing to move into
            power = self._ear.power_of(window, MARGIN + reach)
            if power is not None:
                return [self._aligned(window, torch.from_numpy(power), reach, around)]
        return []

    def _aligned(self, window: int, power: Tensor, reach: int, around: tuple[float, ...]) -> Segment:
        """Moves a window to where the keyword scores highest, in [F, T + 2 (MARGIN + reach)] mel power."""
        engine, shifts = self._ear.engine, range(0, 2 * reach + 1, STEP)
        n_frames = engine.n_frames
        windows = [power[:, MARGIN + shift : MARGIN + shift + n_frames] for shift in shifts]
        scored = margins_of(engine.bundle, self._keyword, compress(torch.stack(windows)))
        best = shifts[int(np.argmax(scored))]
        time_s = self._ear.end_s(window) + (best - reach) * engine.features.hop_ms / 1000
        kept = power[:, best : best + n_frames + 2 * MARGIN].clone()
        return Segment(window, time_s, float(scored.max()), around, kept)
