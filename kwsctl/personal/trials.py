"""Sorts a data set for the test of a person's model: enrolled clips out, others who say the keyword apart."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.data.store import NO_SPLIT, ClipStore
from kwsctl.evaluation import intervals
from kwsctl.evaluation.scoring import score_clips
from kwsctl.personal.person import Profile


@dataclass(frozen=True, eq=False)
class Trials:
    """A data set as one person's test.

    Attributes:
        store: without the enrolled clips, and without others who say the person's keywords.
        enrolled: how many clips were enrolled.
        speaker: the person's name in the data; None if no enrolled clip is in it: then everybody counts as
            the person.
        others: clips of others who say the person's keywords, of any split.
    """

    store: ClipStore
    enrolled: int
    speaker: str | None
    others: NDArray[np.int64]


@dataclass(frozen=True)
class OthersPass:
    """How many others pass who say the person's keywords.

    Attributes:
        rate: share of their clips above the person's threshold.
        low: lower end of the 95 % interval.
        high: its upper end.
        n: clips.
    """

    rate: float
    low: float
    high: float
    n: int


def trials(store: ClipStore, profile: Profile) -> Trials:
    """Sorts the clips of a store.

    Args:
        store: labelled clips.
        profile: of the person.

    Returns:
        The store as this person's test.
    """
    left, n_enrolled = store.without(profile.enrolled)
    names = {c.speaker for c in store.clips if c.sha256 in profile.enrolled and c.speaker}
    speaker = min(names) if len(names) == 1 else None
    if speaker is None:
        return Trials(left, n_enrolled, None, np.zeros(0, dtype=np.int64))
    is_other = [c.label in profile.keywords and c.speaker != speaker for c in left.clips]
    clips = tuple(
        dataclasses.replace(clip, split=NO_SPLIT) if other else clip
        for clip, other in zip(left.clips, is_other, strict=True)
    )
    return Trials(
        dataclasses.replace(left, clips=clips), n_enrolled, speaker, np.flatnonzero(is_other).astype(np.int64)
    )


def others_pass(bundle: Bundle, found: Trials) -> OthersPass | None:
    """Scores others who say the person's keywords.

    Args:
        bundle: the person's.
        found: see `trials`.

    Returns:
        How many pass the person's thresholds; None if there are none.
    """
    if not len(found.others):
        return None
    scores = score_clips(bundle, found.store, found.others)
    thresholds = np.array([bundle.thresholds.get(label, np.inf) for label in scores.labels])
    rows = np.arange(len(found.others))
    passed = int((scores.values[rows, scores.target] >= thresholds[scores.target]).sum())
    interval = intervals.wilson(passed, len(rows))
    return OthersPass(passed / len(rows), interval.low, interval.high, len(rows))
