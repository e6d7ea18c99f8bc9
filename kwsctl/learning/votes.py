"""Limits of the votes on segments that nobody labelled, with torch and without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal["positive", "negative", "abstain"]


@dataclass(frozen=True)
class Votes:
    """Limits of the votes; margins are counted from the person's threshold.

    Attributes:
        high: margin from which the keyword's score speaks for a positive.
        low: margin below which it speaks for a negative; between the two is the drop zone.
        voice: share of the way from the usual stranger to the person that the voice must have gone.
        joint: what margin and voice must reach together; the voice counts from the person's usual cosine.
        joint_loud: the same in a loud room and where the trunk has learned one, which lets more pass.
        doubtful: how far below `low` a segment in the person's voice is still no negative.
        enrolled: margin that the model before any pseudo-label must give a positive.
        agreeing: windows around a segment that must be above `low`, too.
        consistent: share of mild variations that must be above `high`.
        consistent_loud: the same in a loud room.
        outstanding: in a loud room, by how many standard deviations a positive must stand out of what else is
            heard.
        plain: by how many a negative may.
        far_out: in a quiet room, by how many a call stands out that the other votes need not agree on, if
            the voice is near.
        far_voice: share of the way from the usual stranger to the person that such a voice has gone.
        far_low: margin that it must have all the same, by the model before any pseudo-label, too.
        far_high: margin from which the keyword is beyond doubt, and the voice is not told by standing out.
        alike: likeness of features from which a segment is a near-duplicate of one that is kept.
    """

    high: float = -1.0
    low: float = -4.0
    voice: float = 0.8
    joint: float = 1.0
    joint_loud: float = 1.5
    doubtful: float = 3.0
    enrolled: float = -2.0
    agreeing: int = 3
    consistent: float = 0.8
    consistent_loud: float = 0.5
    outstanding: float = 1.75
    plain: float = 0.5
    far_out: float = 2.3
    far_voice: float = 0.7
    far_low: float = -2.5
    far_high: float = 1.5
    alike: float = 0.985
