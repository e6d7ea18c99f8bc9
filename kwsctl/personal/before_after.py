"""How a person's keywords are heard before and after enrolment, on the same clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.data.store import NO_SPLIT
from kwsctl.evaluation import intervals
from kwsctl.evaluation.scoring import score_clips
from kwsctl.personal.person import Profile
from kwsctl.personal.trials import Trials
from kwsctl.types import BACKGROUND, SILENCE


@dataclass(frozen=True)
class Share:
    """A share of clips.

    Attributes:
        rate: the share.
        low: lower end of Wilson's 95 % interval over clips.
        high: its upper end.
        n: clips.
    """

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class BeforeAfter:
    """One keyword of a person.

    Attributes:
        keyword: the label.
        heard_before: share of its clips above the base's threshold; None if the base does not know it.
        heard_after: share above the person's threshold.
        wrong_before: share of the person's other words taken for it before; None if it is not known.
        wrong_after: the same after.
    """

    keyword: str
    heard_before: Share | None
    heard_after: Share | None
    wrong_before: Share | None
    wrong_after: Share | None


def before_after(profile: Profile, base: Bundle, personal: Bundle, found: Trials) -> tuple[BeforeAfter, ...]:
    """Scores the person's clips, those that were enrolled left out, with the model before and after.

    Clips of all splits count, as each is heard once and nothing is chosen with them.

    Args:
        profile: of the person.
        base: the model before.
        personal: the model after.
        found: the person's test, see `trials`.

    Returns:
        A line for each keyword.
    """
    clips = found.store.clips
    rows = np.array(
        [
            i
            for i, clip in enumerate(clips)
            if clip.split != NO_SPLIT  # enrolled, or of somebody else who says it
            and (found.speaker is None or clip.speaker == found.speaker)
            and clip.label not in (BACKGROUND, SILENCE)
        ],
        dtype=np.int64,
    )
    labels = np.array([clips[i].label for i in rows])
    before = _accepted(base, found, rows, profile)
    after = _accepted(personal, found, rows, profile)
    return tuple(
        BeforeAfter(
            keyword,
            _share(before.get(keyword), labels == keyword),
            _share(after.get(keyword), labels == keyword),
            _share(before.get(keyword), labels != keyword),
            _share(after.get(keyword), labels != keyword),
        )
        for keyword in profile.keywords
    )


def _accepted(
    bundle: Bundle, found: Trials, rows: NDArray[np.int64], profile: Profile
) -> dict[str, NDArray[np.bool_]]:
    """Gives by keyword whether each clip [N] is above its threshold; no entry where it is not known."""
    known = [keyword for keyword in profile.keywords if keyword in bundle.labels]
    if not known or not len(rows):
        return {}
    scores = score_clips(bundle, found.store, rows)
    return {
        keyword: scores.values[:, scores.labels.index(keyword)] >= bundle.thresholds.get(keyword, np.inf)
        for keyword in known
    }


def _share(accepted: NDArray[np.bool_] | None, among: NDArray[np.bool_]) -> Share | None:
    if accepted is None or not among.any():
        return None
    count, n = int(accepted[among].sum()), int(among.sum())
    interval = intervals.wilson(count, n)
    return Share(count / n, interval.low, interval.high, n)
