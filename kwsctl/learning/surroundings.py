"""What a room sounds like while nobody speaks, and clips as they would sound there.

Powers of independent sounds add up, so that a recording of the room makes clips of any room but this one
(on-device domain adaptation: Cioflan et al. 2024, arXiv 2403.10549, section III). Where clips are enrolled
in a loud room, what they are compared with must be heard there, too: else the room itself tells them apart,
and the person's other words pass.
"""

from __future__ import annotations

import itertools
from collections import deque

import torch
from torch import Tensor

from kwsctl.features.logmel import compress

CHUNK_FRAMES = 40
LOOK_EVERY = 500
MOST = 64
ANEW = 32
LEVEL_DB = 6.0
STRETCH_FRAMES = 8
STRETCHES = 3  # of each clip, the softest
EDGE_FRAMES = 3  # that an edge of what was recorded reaches into
HEARD_DB = 25.0  # a room that is softer than speech by more moves no score
KNOCK_DB, KNOCK_FRAMES, RISE_FRAMES = 15.0, 8, 2
KNOCKING = 0.7  # share of stretches; edges of words look like knocks in 39 % at most, dishes in 94 %
CLIP_LEVEL_DB = 3.0  # clips tell the level of their room better than a stream that goes on


class Room:
    """Gathers the quietest stretches of a stream: what is there when nobody speaks.

    Attributes:
        chunks: [F, CHUNK_FRAMES] mel power each, the newest last.
    """

    def __init__(self) -> None:
        self.chunks: deque[Tensor] = deque(maxlen=MOST)
        self._quietest: tuple[float, Tensor] | None = None
        self._knocks: deque[Tensor] = deque(maxlen=MOST)
        self._knocked: deque[bool] = deque(maxlen=MOST)
        self._knocks_now = False
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
            if is_knock(chunk):
                self._knocks.append(chunk.clone())
                self._knocks_now = True
            self._seen += CHUNK_FRAMES
            if self._seen >= LOOK_EVERY:
                self.chunks.append(self._quietest[1])
                self._knocked.append(self._knocks_now)
                self._knocks_now = False
                self._new += 1
                self._quietest, self._seen = None, 0

    def recorded(self) -> Tensor | None:
        """Gives [M, F, CHUNK_FRAMES] stretches, the same until many are new; None before any is known."""
        if self._new >= ANEW or (self._recorded is None and self.chunks):
            found = list(self.chunks)
            if sum(self._knocked) >= KNOCKING * len(self._knocked):
                found += self._knocks
            self._recorded, self._new = torch.stack(found), 0
        return self._recorded


def is_knock(chunk: Tensor) -> bool:
    """Tells whether what is loud in [F, C] mel power is sudden, too short for speech, and alone."""
    level = chunk.sum(0)
    loud = (level >= level.max() * 10 ** (-KNOCK_DB / 10)).tolist()
    longest = max(len(list(run)) for is_loud, run in itertools.groupby(loud) if is_loud)
    before = loud[: int(level.argmax())]
    rise = sum(1 for _ in itertools.takewhile(bool, reversed(before)))
    return longest <= KNOCK_FRAMES and rise <= RISE_FRAMES and not any(loud[:2] + loud[-2:])


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
    factor = _loud(power).mean(1).median() / _loud(other).mean(1).clamp_min(1e-9)
    return other * factor.clamp(1e-4, 1e4)[:, None, None]


def beside(clips: Tensor) -> Tensor | None:
    """Finds what the room of recorded clips sounds like: the softest stretches of each.

    Args:
        clips: [K, F, T'] mel power, 0 where nothing was recorded.

    Returns:
        [M, F, C] mel power; None where the room is too soft to matter, or the clips too short to tell.
    """
    stretches: list[Tensor] = []
    for clip in clips:
        recorded = torch.nonzero(clip.sum(0) > 0).flatten()
        if len(recorded) < 2 * EDGE_FRAMES + STRETCHES * STRETCH_FRAMES:
            continue
        inner = clip[:, int(recorded[0]) + EDGE_FRAMES : int(recorded[-1]) + 1 - EDGE_FRAMES]
        windows = inner.unfold(1, STRETCH_FRAMES, STRETCH_FRAMES // 4)
        softest = windows.mean((0, 2)).argsort()[:STRETCHES]
        stretches += windows[:, softest].unbind(1)
    if not stretches:
        return None
    found = torch.stack(stretches)
    return found if matters(found, clips) else None


def matters(room: Tensor, clips: Tensor) -> bool:
    """Tells whether a room [M, F, C] is loud enough beside clips [K, F, T'] to move a score."""
    softer_db = 10 * (_loud(clips).mean(1) / clips.shape[1] / room.mean().clamp_min(1e-12)).log10()
    return float(softer_db.median()) < HEARD_DB


def as_beside(features: Tensor, clips: Tensor, room: Tensor, generator: torch.Generator) -> Tensor:
    """Lets other words sound as if they were recorded with some clips.

    Args:
        features: [N, F, T] log-mel.
        clips: [K, F, T'] mel power, whose level they get.
        room: of the clips, see `beside`.
        generator: draws stretches and levels.

    Returns:
        [N, F, T] log-mel features.
    """
    return compress(in_room(to_level(features, clips), room, generator, CLIP_LEVEL_DB))


def _loud(power: Tensor) -> Tensor:
    """Gives the sums of the louder third of the frames, [N, T // 3]."""
    frames = power.sum(1)
    return frames.topk(max(1, frames.shape[1] // 3), dim=1).values
