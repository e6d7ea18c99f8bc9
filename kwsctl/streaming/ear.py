"""Runs a network in its streaming form over samples that arrive in pieces of any length.

Samples are cut into blocks at fixed places, so that every number is the same to the last bit however the
audio was cut into pieces. While nothing stands out of the noise the network rests; when something does, it
is started anew far enough back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import BundleError
from kwsctl.streaming.engine import Engine, Floats
from kwsctl.streaming.gate import Gate
from kwsctl.types import POWER_FLOOR

BLOCK_FRAMES = 16
"""Feature frames that are heard at a time: what an event may come later, for fewer calls."""
KEPT_S = 6.0
"""How much of the features is kept, for a second look at a window."""

AnyEngine = TypeVar("AnyEngine", bound=Engine)


def compress(power: Floats) -> Floats:
    """Takes the logarithm of mel power, as `kwsctl.features.logmel.compress` does."""
    features: Floats = np.log(power + np.float32(POWER_FLOOR))
    return features


@dataclass(frozen=True, eq=False)
class Heard:
    """What the network said of the windows that ended.

    Attributes:
        first: number of the first window, from 0 at the beginning of the stream.
        logits: [W, L] per window; minus infinity while the gate was closed.
        embeddings: [W, E] what the head was given; none while the gate was closed.
        awake: [W] whether the gate was open.
    """

    first: int
    logits: Floats = field(repr=False)
    embeddings: Floats = field(repr=False)
    awake: NDArray[np.bool_] = field(repr=False)


class Ear(Generic[AnyEngine]):
    """Hears one stream.

    Attributes:
        engine: runs the network.
        hop_s: from window to window, in s.
        samples: how many were heard.
        gated: whether the network rests while nothing stands out.

    Args:
        engine: runs the network; nobody else may use it meanwhile.
        block_frames: feature frames that are heard at a time.
        gated: let the network rest while nothing stands out.
    """

    def __init__(self, engine: AnyEngine, *, block_frames: int = BLOCK_FRAMES, gated: bool = True) -> None:
        self.engine, self.gated = engine, gated
        self.stride, spec = engine.stride, engine.features
        self.hop_s = self.stride * spec.hop_ms / 1000
        # Blocks of whole steps: windows then begin at the same frames after every restart.
        step = math.lcm(self.stride, engine.step_frames)
        self._block = -(-block_frames // step) * step
        # The first window after a rest sees as much before it as after it.
        reach = engine.n_frames + 2 * engine.delay_frames + self._block
        self._reach = -(-reach // step) * step
        self._kept = max(int(KEPT_S * 1000 / spec.hop_ms), 2 * self._reach)
        self._block_samples = self._block * spec.hop_samples
        self._needed_samples = (self._block - 1) * spec.hop_samples + spec.window_samples
        self.reset()

    def retune(self, engine: AnyEngine) -> None:
        """Goes on with a changed model of the same architecture, at the same place in the stream.

        Args:
            engine: of the changed model.
        """
        self.engine = engine
        self._running = False

    def reset(self, skip: int = 0) -> int:
        """Forgets everything, so that another stream can begin.

        Args:
            skip: samples at the beginning of the stream that will not be given.

        Returns:
            How many of them to leave out: so many that blocks begin where they always do.
        """
        blocks = skip // self._block_samples
        self._start = self._frames = blocks * self._block
        self.samples = blocks * self._block_samples
        self._given = self._start // self.stride
        self._pending = np.zeros(0, np.float32)
        self._power: deque[Floats] = deque()
        self._running = False
        self._gate = Gate(self.engine.features.hop_ms / 1000)
        self._open_until = self._start
        return self.samples

    @property
    def awake(self) -> bool:
        """Whether the gate is open."""
        return self._running

    def push(self, samples: Floats) -> list[Heard]:
        """Takes the next samples.

        Args:
            samples: [S] in [-1, 1], of any length, at the rate of the model.

        Returns:
            What was said of the windows that can be told of now, in order; often nothing.

        Raises:
            BundleError: the network gives numbers that are not finite.
        """
        self.samples += len(samples)
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        used, found = 0, []
        while len(self._pending) - used >= self._needed_samples:
            power = self.engine.power(self._pending[used : used + self._needed_samples])
            used += self._block_samples
            found += self._block_of(power)
        if used:
            self._pending = self._pending[used:].copy()
        return found

    def each(self, samples: Floats) -> Iterator[Heard]:
        """Takes the next samples a block at a time, so that what was heard can be looked at again meanwhile.

        Args:
            samples: [S] in [-1, 1], of any length, at the rate of the model.

        Yields:
            What was said of windows, in order.
        """
        for first in range(0, len(samples), self._block_samples):
            yield from self.push(samples[first : first + self._block_samples])

    def end_s(self, window: int) -> float:
        """Tells when a window ends, in s from the beginning of the stream."""
        spec = self.engine.features
        last = window * self.stride + self.engine.n_frames - 1
        return (last * spec.hop_samples + spec.window_samples) / spec.sample_rate_hz

    def power_of(self, window: int, margin: int = 0) -> Floats | None:
        """Gives the features of a window that was heard a short time ago.

        Args:
            window: its number.
            margin: frames to add on both sides.

        Returns:
            [F, T + 2 margin] mel power; None if it is not kept any more, or not all there yet.
        """
        first = window * self.stride - margin
        return self.power_between(first, first + self.engine.n_frames + 2 * margin)

    def power_between(self, first: int, last: int) -> Floats | None:
        """Gives [F, last - first] mel power of frames; None if they are not all there."""
        oldest = self._frames - self._block * len(self._power)
        if first < oldest or last > self._frames:
            return None
        begin, end = (first - oldest) // self._block, -(-(last - oldest) // self._block)
        parts = [self._power[i] for i in range(begin, max(end, begin + 1))]
        offset = oldest + begin * self._block
        return np.concatenate(parts, axis=1)[:, first - offset : last - offset]

    def _block_of(self, power: Floats) -> list[Heard]:
        """Hears one block [F, block] of mel power."""
        features = compress(power)
        self._power.append(power)
        self._frames += self._block
        while self._block * (len(self._power) - 1) >= self._kept:
            self._power.popleft()
        if not self.gated or self._gate.push(features):
            # A window hears what lies around it, too: it stays awake until no window touches the sound.
            self._open_until = self._frames + self.engine.n_frames + self.engine.delay_frames
        if self._frames > self._open_until:
            return self._rest()
        return self._run(features)

    def _rest(self) -> list[Heard]:
        """Skips the windows that end in this block."""
        self._running = False
        ready = (self._frames - self.engine.n_frames - self.engine.delay_frames) // self.stride + 1
        skipped = max(0, ready - self._given)
        found = Heard(
            self._given,
            np.full((skipped, len(self.engine.labels)), -np.inf, np.float32),
            np.zeros((skipped, 0), np.float32),
            np.zeros(skipped, np.bool_),
        )
        self._given += skipped
        return [found] if skipped else []

    def _run(self, features: Floats) -> list[Heard]:
        """Runs the network over a block, or from further back if it rested."""
        if not self._running:
            self.engine.reset()
            self._running = True
            begin = max(self._start, self._frames - self._reach)
            power = self.power_between(begin, self._frames)
            if power is None:
                raise AssertionError("the features that a restart needs are always kept")
            features = compress(power)
            self._next = begin // self.stride
        pooled = self.engine.run(features)
        if not len(pooled):
            return []
        logits = self.engine.logits(pooled)
        if not np.isfinite(logits).all():
            raise BundleError("The model gives scores that are not finite.", "Train or enroll it again.")
        first, self._next = self._next, self._next + len(logits)
        known = max(0, self._given - first)  # a restart tells of windows again that were skipped before
        self._given = max(self._given, self._next)
        if known >= len(logits):
            return []
        awake = np.ones(len(logits) - known, np.bool_)
        return [Heard(first + known, logits[known:], pooled[known:], awake)]
