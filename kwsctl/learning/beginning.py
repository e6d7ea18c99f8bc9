"""The beginning of a stream, kept until its room is known, and heard anew then."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kwsctl.learning.segments import Segment, Segmenter
from kwsctl.streaming.ear import Ear
from kwsctl.streaming.torch_engine import TorchEngine

FULL_SCALE = 32_768


class Beginning:
    """What was heard of a stream so far, as samples of sixteen bits; in memory only.

    A model that does not know the room is deaf to calls there, or takes the wrong window for them: to judge
    its segments again would not bring those back.

    Args:
        rate_hz: of the samples.
        skipped: samples that were left out before, as `Ear.reset` was told.
        block_frames: feature frames that are heard at a time.
    """

    def __init__(self, rate_hz: int, skipped: int, block_frames: int) -> None:
        self._rate_hz, self._skipped, self._block_frames = rate_hz, skipped, block_frames
        self._pieces: list[NDArray[np.int16]] = []

    @property
    def seconds(self) -> float:
        """How much is kept, in s."""
        return sum(map(len, self._pieces)) / self._rate_hz

    def keep(self, samples: NDArray[np.float32]) -> None:
        """Takes the next samples [S] in [-1, 1]."""
        if len(samples):
            levels = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
            self._pieces.append(levels.astype(np.int16))

    def heard_by(
        self, engine: TorchEngine, keyword: str
    ) -> tuple[Ear[TorchEngine], Segmenter, list[Segment]]:
        """Lets a model hear all of it.

        Args:
            engine: runs the model.
            keyword: one of its labels.

        Returns:
            An ear and a segmenter that go on from there, and the segments that are known.
        """
        ear = Ear(engine, block_frames=self._block_frames)
        ear.reset(self._skipped)
        segmenter, found = Segmenter(ear, keyword), []
        for piece in self._pieces:
            for heard in ear.each(piece.astype(np.float32) / np.float32(FULL_SCALE)):
                found += segmenter.push(heard)
        return ear, segmenter, found
