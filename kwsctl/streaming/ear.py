"""Runs a network in its streaming form over samples that arrive in pieces of any length.

Samples are cut into blocks at fixed places, so that every number is the same to the last bit however the
audio was cut into pieces. While nothing stands out of the noise the network rests; when something does, it
is started anew far enough back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl import registry
from kwsctl.architecture import MODELS
from kwsctl.bundle import Bundle
from kwsctl.errors import BundleError, InputError
from kwsctl.features.logmel import compress, mel_power
from kwsctl.streaming.gate import Gate

BLOCK_FRAMES = 16
"""Feature frames that are heard at a time: what an event may come later, for fewer calls."""
KEPT_S = 6.0
"""How much of the features is kept, for a second look at a window."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What the network said of the windows that ended.

    Attributes:
        first: number of the first window, from 0 at the beginning of the stream.
        logits: [W, L] per window; minus infinity while the gate was closed.
        embeddings: [W, E] pooled frames that the head was given; zeros while the gate was closed.
        awake: [W] whether the gate was open.
    """

    first: int
    logits: NDArray[np.float32] = field(repr=False)
    embeddings: NDArray[np.float32] = field(repr=False)
    awake: NDArray[np.bool_] = field(repr=False)


class Ear:
    """Hears one stream.

    Attributes:
        bundle: the model.
        stride: feature frames from window to window.
        hop_s: the same in s.
        samples: how many were heard.
        gated: whether the network rests while nothing stands out.

    Args:
        bundle: the model; its own network is run, not what a person's bundle puts around it.
        block_frames: feature frames that are heard at a time.
        gated: let the network rest while nothing stands out.

    Raises:
        InputError: the network cannot run frame by frame.
    """

    def __init__(self, bundle: Bundle, *, block_frames: int = BLOCK_FRAMES, gated: bool = True) -> None:
        self.gated = gated
        self.retune(bundle)
        spec = bundle.features
        self.stride = int(self._stream.stride)
        self.hop_s = self.stride * spec.hop_ms / 1000
        # Blocks of whole strides: windows then begin at the same frames after every restart.
        self._block = -(-block_frames // self.stride) * self.stride
        # The first window after a rest sees as much before it as after it.
        self._reach = bundle.n_frames + 2 * self._stream.delay_frames + self._block
        self._kept = max(int(KEPT_S * 1000 / spec.hop_ms), 2 * self._reach)
        self.reset()

    def retune(self, bundle: Bundle) -> None:
        """Goes on with a changed model of the same architecture, at the same place in the stream.

        Args:
            bundle: the changed model.

        Raises:
            InputError: the network cannot run frame by frame.
        """
        self.bundle, self.network = bundle, Bundle.model(bundle)
        try:
            self._stream: Any = registry.load(MODELS, bundle.arch).stream(self.network, bundle.n_frames)
        except ValueError as error:
            raise InputError(f"This model cannot listen to a stream: {error}") from None
        self._state: Any = None

    def reset(self, skip: int = 0) -> int:
        """Forgets everything, so that another stream can begin.

        Args:
            skip: samples at the beginning of the stream that will not be given.

        Returns:
            How many of them to leave out: so many that blocks begin where they always do.
        """
        blocks = skip // (self._block * self.bundle.features.hop_samples)
        self._start = self._frames = blocks * self._block
        self.samples = self._frames * self.bundle.features.hop_samples
        self._given = self._start // self.stride
        self._pending = np.zeros(0, np.float32)
        self._power: deque[Tensor] = deque()
        self._state = None
        self._gate = Gate(self.bundle.features.hop_ms / 1000)
        self._open_until = self._start
        return self.samples

    def push(self, samples: NDArray[np.float32]) -> list[Heard]:
        """Takes the next samples.

        Args:
            samples: [S] in [-1, 1], of any length, at the rate of the model.

        Returns:
            What was said of the windows that can be told of now, in order; often nothing.

        Raises:
            BundleError: the network gives numbers that are not finite.
        """
        spec = self.bundle.features
        self.samples += len(samples)
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        needed = (self._block - 1) * spec.hop_samples + spec.window_samples
        used, found = 0, []
        while len(self._pending) - used >= needed:
            power = mel_power(torch.from_numpy(self._pending[used : used + needed])[None], spec)[0]
            used += self._block * spec.hop_samples
            found += self._block_of(power)
        self._pending = self._pending[used:]
        return found

    def each(self, samples: NDArray[np.float32]) -> Iterator[Heard]:
        """Takes the next samples a block at a time, so that what was heard can be looked at again meanwhile.

        Args:
            samples: [S] in [-1, 1], of any length, at the rate of the model.

        Yields:
            What was said of windows, in order.
        """
        size = self._block * self.bundle.features.hop_samples
        for first in range(0, len(samples), size):
            yield from self.push(samples[first : first + size])

    def end_s(self, window: int) -> float:
        """Tells when a window ends, in s from the beginning of the stream."""
        spec = self.bundle.features
        last = window * self.stride + self.bundle.n_frames - 1
        return (last * spec.hop_samples + spec.window_samples) / spec.sample_rate_hz

    def power_of(self, window: int, margin: int = 0) -> Tensor | None:
        """Gives the features of a window that was heard a short time ago.

        Args:
            window: its number.
            margin: frames to add on both sides.

        Returns:
            [F, T + 2 margin] mel power; None if it is not kept any more, or not all there yet.
        """
        first = window * self.stride - margin
        return self.power_between(first, first + self.bundle.n_frames + 2 * margin)

    def power_between(self, first: int, last: int) -> Tensor | None:
        """Gives [F, last - first] mel power of frames; None if they are not all there."""
        kept = sum(part.shape[1] for part in self._power)
        oldest = self._frames - kept
        if first < oldest or last > self._frames:
            return None
        return torch.cat(list(self._power), 1)[:, first - oldest : last - oldest]

    def _block_of(self, power: Tensor) -> list[Heard]:
        """Hears one block [F, block] of mel power."""
        features = compress(power)
        self._power.append(power)
        self._frames += self._block
        while sum(part.shape[1] for part in self._power) - self._block >= self._kept:
            self._power.popleft()
        if not self.gated or self._gate.push(features.numpy()):
            # A window hears what lies around it, too: it stays awake until no window touches the sound.
            self._open_until = self._frames + self.bundle.n_frames + self._stream.delay_frames
        if self._frames > self._open_until:
            return self._rest()
        return self._run(features)

    def _rest(self) -> list[Heard]:
        """Skips the windows that end in this block."""
        self._state = None
        ready = (self._frames - self.bundle.n_frames - self._stream.delay_frames) // self.stride + 1
        skipped = max(0, ready - self._given)
        found = Heard(
            self._given,
            np.full((skipped, len(self.bundle.labels)), -np.inf, np.float32),
            np.zeros((skipped, 0), np.float32),
            np.zeros(skipped, np.bool_),
        )
        self._given += skipped
        return [found] if skipped else []

    @torch.inference_mode()
    def _run(self, features: Tensor) -> list[Heard]:
        """Runs the network over a block, or from further back if it rested."""
        if self._state is None:
            self._state = self._stream.initial_state()
            reach = self._reach
            begin = max(self._start, self._frames - -(-reach // self.stride) * self.stride)
            features = compress(cast(Tensor, self.power_between(begin, self._frames)).clone())
            self._next = begin // self.stride
        pooled, self._state = self._stream.body(features[None], self._state)
        if not pooled.shape[-1]:
            return []
        pooled = pooled.transpose(1, 2)[0]
        logits = self._stream.head(pooled)
        if not torch.isfinite(logits).all():
            raise BundleError("The model gives scores that are not finite.", "Train or enroll it again.")
        first, self._next = self._next, self._next + len(logits)
        known = max(0, self._given - first)  # a restart tells of windows again that were skipped before
        self._given = max(self._given, self._next)
        if known >= len(logits):
            return []
        awake = np.ones(len(logits) - known, np.bool_)
        return [Heard(first + known, logits[known:].numpy(), pooled[known:].numpy(), awake)]
