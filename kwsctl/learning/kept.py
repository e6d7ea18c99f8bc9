"""The segments of a stream that are learned from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.segments import STEP, Segment
from kwsctl.learning.votes import Votes

REACH, REACH_NEGATIVE = 48, 8  # frames by which a peak moves when a model has learned


class Kept:
    """The segments that are worth learning from: bounded, balanced and without near-duplicates.

    Args:
        most: positives that are kept at most, the newest; of negatives as many times `per_positive`.
        alike: likeness from which a segment is a near-duplicate.
        per_positive: negatives to a positive.
    """

    def __init__(self, most: int = 64, alike: float = Votes.alike, per_positive: int = 4) -> None:
        self._alike, self._most, self._most_negatives = alike, most, most * per_positive
        self.positives: list[Labelled] = []
        self.negatives: list[Labelled] = []
        self._logs: dict[int, Tensor] = {}

    def add(self, labelled: Labelled) -> bool:
        """Keeps a segment, if it is new; of negatives those nearest to the threshold.

        Args:
            labelled: not an abstention.

        Returns:
            Whether it was kept.
        """
        side = self.positives if labelled.decision == "positive" else self.negatives
        if self._is_known(labelled.segment, side):
            return False
        if side is self.positives and len(side) >= self._most:
            self._drop(side, 0)
        if side is self.negatives and len(side) >= self._most_negatives:
            easiest = min(range(len(side)), key=lambda i: side[i].segment.margin)
            if side[easiest].segment.margin >= labelled.segment.margin:
                return False
            self._drop(side, easiest)
        side.append(labelled)
        self._logs[id(labelled)] = _log(labelled.segment.power)
        return True

    def _drop(self, side: list[Labelled], place: int) -> None:
        del self._logs[id(side[place])]
        del side[place]

    def _is_known(self, segment: Segment, side: Sequence[Labelled]) -> bool:
        """Compares with what is kept, windows earlier and later too: another model may find another peak."""
        if not side:
            return False
        new, kept = _log(segment.power), torch.stack([self._logs[id(one)] for one in side])
        # A call that is learned from twice weighs double; of the many negatives one hardly does.
        reach = REACH if side is self.positives else REACH_NEGATIVE
        return bool((_likeness(new, kept, range(-reach, reach + 1, STEP)) > self._alike).any())


def _log(power: Tensor) -> Tensor:
    return (power + 1e-6).log()


def _likeness(new: Tensor, kept: Tensor, shifts: Sequence[int]) -> Tensor:
    """Compares a segment with others at several shifts, whatever their levels.

    Args:
        new: [F, T].
        kept: [N, F, T].
        shifts: how many frames of `new` come before the first of the others; negative ones the other way.

    Returns:
        [N, S] cosines of the parts that meet, each without its mean.
    """
    n_bins, n_frames = new.shape
    moved = torch.zeros(len(shifts), n_bins, n_frames)
    meets = torch.zeros(len(shifts), n_frames)
    for place, met, shift in zip(moved, meets, shifts, strict=True):
        first, last = max(-shift, 0), n_frames - max(shift, 0)
        part = new[:, first + shift : last + shift]
        place[:, first:last], met[first:last] = part - part.mean(), 1.0
    # All shifts are one product: what was moved has mean 0, so the mean of the others adds nothing to it.
    products = kept.flatten(1) @ moved.flatten(1).T
    sums, squares = kept.sum(1) @ meets.T, kept.square().sum(1) @ meets.T
    lengths = (squares - sums.square() / (n_bins * meets.sum(1))).clamp_min(0).sqrt()
    found: Tensor = products / (lengths * moved.flatten(1).norm(dim=1)).clamp_min(1e-8)
    return found
