"""How a segment compares with the others of its stream: a call stands out of them, in whatever room.

What a score is worth depends on the room. Counted from the mean score of what else is heard there, in
standard deviations, it is worth the same in all of them, as in the test normalization of speaker
verification (Auckenthaler, Carey & Lloyd-Thomas 2000, "Score normalization for text-independent speaker
verification systems", section 3.2).
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.features.augmentation import middle
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.segments import Segment

MOST = 160
ENOUGH = 20


class Crowd:
    """The newest segments of a stream, whatever they are.

    Attributes:
        power: [F, T'] mel power of each.
    """

    def __init__(self) -> None:
        self.power: deque[Tensor] = deque(maxlen=MOST)
        self._margins: deque[float] = deque(maxlen=MOST)

    def push(self, segment: Segment) -> None:
        """Takes the next segment."""
        self.power.append(segment.power)
        self._margins.append(segment.margin)

    def clear(self) -> None:
        """Forgets all of them."""
        self.power.clear()
        self._margins.clear()

    def judge_by(self, bundle: Bundle, keyword: str) -> None:
        """Scores all of them anew, by a model that has learned."""
        if self.power:
            features = middle(torch.stack(list(self.power)), bundle.n_frames)
            self._margins = deque(margins_of(bundle, keyword, features).tolist(), maxlen=MOST)

    def stands_out(self, margin: float) -> float | None:
        """Gives by how many standard deviations a margin is above the mean; None before enough is heard."""
        if len(self._margins) < ENOUGH:
            return None
        return float((margin - np.mean(self._margins)) / max(float(np.std(self._margins)), 1e-6))
