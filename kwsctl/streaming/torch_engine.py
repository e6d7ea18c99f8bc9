"""Runs a bundle over a stream with torch, as adaptation does, which changes the weights meanwhile."""

from __future__ import annotations

from typing import Any, cast

import torch

from kwsctl import registry
from kwsctl.architecture import MODELS
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.features.logmel import mel_power
from kwsctl.streaming.engine import Floats


class TorchEngine:
    """A bundle, with the state of one stream; attributes and methods are those of `engine.Engine`.

    Attributes:
        bundle: the model.
        network: its own network, not what a person's bundle puts around it.

    Args:
        bundle: the model.

    Raises:
        InputError: the network cannot run frame by frame.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.network = bundle, Bundle.model(bundle)
        try:
            self._stream: Any = registry.load(MODELS, bundle.arch).stream(self.network, bundle.n_frames)
        except ValueError as error:
            raise InputError(f"This model cannot listen to a stream: {error}") from None
        self.features, self.labels, self.thresholds = bundle.features, bundle.labels, bundle.thresholds
        self.n_frames = bundle.n_frames
        self.stride = self.step_frames = int(self._stream.stride)
        self.delay_frames = int(self._stream.delay_frames)
        self.reset()

    @property
    def sha256(self) -> str:
        """Identity of the bundle."""
        return self.bundle.sha256

    def power(self, samples: Floats) -> Floats:
        """Maps samples [S] in [-1, 1] to mel power [F, t]."""
        return cast(Floats, mel_power(torch.from_numpy(samples)[None], self.features)[0].numpy())

    def reset(self) -> None:
        """Begins a new stream."""
        self._state: Any = self._stream.initial_state()

    @torch.inference_mode()
    def run(self, features: Floats) -> Floats:
        """Maps the next log-mel frames [F, t] to the means over frames [W, C] of the windows that ended."""
        pooled, self._state = self._stream.body(torch.from_numpy(features)[None], self._state)
        return cast(Floats, pooled.transpose(1, 2)[0].numpy())

    @torch.inference_mode()
    def logits(self, pooled: Floats) -> Floats:
        """Maps what `run` gave, [W, C], to logits [W, L]."""
        return cast(Floats, self._stream.head(torch.from_numpy(pooled)).numpy())

    def scores(self, logits: Floats) -> Floats:
        """Maps logits [W, L] to scores [W, L] in [0, 1]."""
        return cast(Floats, self.bundle.probabilities(torch.from_numpy(logits)).numpy())

    @torch.inference_mode()
    def voice(self, features: Floats) -> Floats:
        """Maps the log-mel frames [F, T] of one window to the direction of the voice [S]."""
        found = cast(Any, self.network).speaker(torch.from_numpy(features)[None])[0]
        return cast(Floats, found.numpy())
