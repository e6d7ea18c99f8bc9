"""Limits of the votes on segments that nobody labelled, with torch and without."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Decision = Literal["positive", "negative", "abstain"]


@dataclass(frozen=True)
class Loud:
    """Limits of the votes in a loud room, where a call has to stand out of what else is heard.

    Attributes:
        joint: what margin, voice and standing out must reach together.
        deviation: what a standard deviation by which it stands out counts in that.
        outstanding: standard deviations by which a positive must stand out at least.
        plain: by how many a negative may.
        voice: cosine from which a voice is the person's, however alike the clips are in quiet.
        consistent: share of mild variations that must be above `Votes.high`.
    """

    joint: float = 4.75
    deviation: float = 2.0
    outstanding: float = 1.9
    plain: float = 0.5
    voice: float = 0.83
    consistent: float = 0.5


@dataclass(frozen=True)
class Votes:
    """Limits of the votes; margins are counted from the person's threshold.

    Attributes:
        high: margin from which the keyword's score speaks for a positive.
        low: margin below which it speaks for a negative; between the two is the drop zone.
        voice: share of the way from the usual stranger to the person that the voice must have gone.
        joint: what margin and voice must reach together; the voice counts from the person's usual cosine.
        joint_loud: the same where the trunk has learned a room and lets more pass, or a loud room is too new
            for anything to stand out of it.
        doubtful: how far below `low` a segment in the person's voice is still no negative.
        enrolled: margin that the model before any pseudo-label must give a positive.
        agreeing: windows around a segment that must be above `low`, too.
        consistent: share of mild variations that must be above `high`.
        alike: likeness of features from which a segment is a near-duplicate of one that is kept.
        loud: what else holds in a loud room.
    """

    high: float = -1.0
    low: float = -4.0
    voice: float = 0.8
    joint: float = 0.0
    joint_loud: float = 1.25
    doubtful: float = 3.0
    enrolled: float = -2.0
    agreeing: int = 3
    consistent: float = 0.8
    alike: float = 0.985
    loud: Loud = field(default_factory=Loud)
