"""What the simulator knows of a stream's segments, and labels that are wrong on purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from kwsctl.bench import life
from kwsctl.learning.known import Gathered
from kwsctl.learning.pseudo_labels import Labelled

NEAR_S = 0.6
WRONG = 0.3


def kind_of(one: Labelled, stream: life.Stream, clip_s: float) -> str:
    """Tells what a segment is, by the truth: what is said in the middle of its window.

    Args:
        one: a segment.
        stream: with its truth.
        clip_s: length of a window, in s.

    Returns:
        The kind of what is said, or `nothing`.
    """
    middle_s = one.segment.time_s - clip_s / 2
    near = [said for said in stream.said if abs((said.start_s + said.end_s) / 2 - middle_s) < NEAR_S]
    if any(said.kind == "keyword" for said in near):
        return "keyword"
    return near[0].kind if near else "nothing"


def true_labels(
    gathered: Gathered, labelled: Sequence[Labelled], stream: life.Stream, clip_s: float
) -> Gathered:
    """Gives the same segments with true labels.

    Args:
        gathered: with pseudo-labels.
        labelled: all segments.
        stream: with its truth.
        clip_s: length of a window, in s.

    Returns:
        What there would be to learn from, had somebody labelled it.
    """
    kinds = [kind_of(one, stream, clip_s) for one in labelled]
    sides = [
        [
            one.segment.power
            for one, kind in zip(labelled, kinds, strict=True)
            if (kind == "keyword") == wanted
        ]
        for wanted in (True, False)
    ]
    positives, negatives = (torch.stack(side) if side else gathered.positives[:0] for side in sides)
    return dataclasses.replace(gathered, positives=positives, negatives=negatives)


def turned(gathered: Gathered, draw: np.random.Generator) -> Gathered:
    """Turns 30 % of the labels of the positives round, with as many negatives.

    Args:
        gathered: with pseudo-labels.
        draw: draws.

    Returns:
        The same segments, some with wrong labels.
    """
    count = round(WRONG * len(gathered.positives))
    if not count or len(gathered.negatives) <= count:
        return gathered
    wrong = draw.permutation(len(gathered.positives))[:count]
    taken = draw.permutation(len(gathered.negatives))[:count]
    keep = np.setdiff1d(np.arange(len(gathered.positives)), wrong)
    left = np.setdiff1d(np.arange(len(gathered.negatives)), taken)
    return dataclasses.replace(
        gathered,
        positives=torch.cat([gathered.positives[keep], gathered.negatives[taken]]),
        negatives=torch.cat([gathered.negatives[left], gathered.positives[wrong]]),
    )
