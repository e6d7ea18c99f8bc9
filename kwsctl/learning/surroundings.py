"""What a room sounds like while nobody speaks, and clips as they would sound there.

Powers of independent sounds add up, so that a recording of the room makes clips of any room but this one
(on-device domain adaptation: Cioflan et al. 2024, arXiv 2403.10549, section III).
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

CHUNK_FRAMES = 40
LOOK_EVERY = 500
MOST = 64
ANEW = 32
LEVEL_DB = 6.0


class Room:
    """Gathers the quietest stretches of a stream: what is there when nobody speaks.

    Attributes:
        chunks: [F, CHUNK_FRAMES] mel power each, the newest last.
    """

    def __init__(self) -> None:
        self.chunks: deque[Tensor] = deque(maxlen=MOST)
        self._quietest: tuple[float, Tensor] | None = None
        self._seen = self._new = 0
        self._recorded: Tensor | None = None

    def push(self, power: Tensor) -> None:
        """Takes [F, T] mel power of the stream."""
        for chunk in torch.split(power, CHUNK_FRAMES, dim=1):
            if chunk.shape[1] < CHUNK_FRAMES:
                continue
            level = float(chunk.mean())
            if self._quietest is None or level < self._quietest[0]:
                self._quietest = level, chunk.clone()
            self._seen += CHUNK_FRAMES
            if self._seen >= LOOK_EVERY:
                self.chunks.append(self._quietest[1])
                self._new += 1
                self._quietest, self._seen = None, 0

    def recorded(self) -> Tensor | None:
        """Gives [M, F, CHUNK_FRAMES] stretches, the same until many are new; None before any is known."""
        if self._new >= ANEW or (self._recorded is None and self.chunks):
            self._recorded, self._new = torch.stack(list(self.chunks)), 0
        return self._recorded


def in_room(power: Tensor, room: Tensor, generator: torch.Generator, level_db: float = LEVEL_DB) -> Tensor:
    """Lets clips sound in a room.

    Args:
        power: [N, F, T] mel power.
        room: [M, F, C] stretches of it.
        generator: draws stretches and levels.
        level_db: the room is louder or softer by at most so much.

    Returns:
        [N, F, T] mel power.
    """
    n_clips, n_bins, n_frames = power.shape
    pieces = -(-n_frames // room.shape[2])
    chosen = torch.randint(len(room), (n_clips, pieces), generator=generator)
    # Neighbouring stretches are mirrored in turn, so that they join without a step.
    drawn = room[chosen]
    drawn[:, 1::2] = drawn[:, 1::2].flip(3)
    noise = drawn.transpose(1, 2).reshape(n_clips, n_bins, -1)[:, :, :n_frames]
    level = (2 * torch.rand(n_clips, generator=generator) - 1) * level_db
    return power + noise * (10 ** (level / 10))[:, None, None]


def to_level(features: Tensor, power: Tensor) -> Tensor:
    """Brings log-mel features [N, F, T] to the level of clips [K, F, T'] and gives mel power."""
    other = features.exp()

    def loud(p: Tensor) -> Tensor:
        frames = p.sum(1)
        return frames.topk(max(1, frames.shape[1] // 3), dim=1).values.mean(1)

    factor = loud(power).median() / loud(other).clamp_min(1e-9)
    return other * factor.clamp(1e-4, 1e4)[:, None, None]
