"""From scores to events: smoothing, a threshold and a refractory time, as on a device.

A window's score is the moving average of the last few windows (Chen, Parada, Heigold 2014,
"Small-footprint keyword spotting using deep neural networks", eq. 2). The keyword with the highest
average fires when it reaches the threshold; after that nothing fires for the refractory time.
False alarms are counted on continuous audio, in events per hour, never from counts of clips.

The number of events never rises with the threshold: greedy firing covers the windows at or above
the threshold by the fewest intervals of one refractory time, and a higher threshold leaves a
subset to cover. That is why the threshold for a budget can be found by bisection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kwsctl.errors import InputError
from kwsctl.evaluation.intervals import poisson_upper
from kwsctl.evaluation.streams import ScoreStream, Trigger

Floats = NDArray[np.float64]

_TIME_TOLERANCE_S = 1e-6
"""Times are multiples of the hop with rounding errors; an event may be early by this much."""


@dataclass(frozen=True)
class Event:
    """One detection.

    Attributes:
        time_s: end of the window in which it fired, in s.
        keyword: index among the K keywords.
        score: the smoothed score.
    """

    time_s: float
    keyword: int
    score: float


@dataclass(frozen=True)
class BudgetThreshold:
    """The operating point for a budget of false alarms.

    Attributes:
        threshold: the lowest that stays within the budget on this audio.
        false_alarms: events left at that threshold.
        hours: of audio.
        budget_per_hour: what was asked for.
        provable_per_hour: what no false alarm at all in so many hours would prove, with 95 %
            confidence: about 3 / hours.
    """

    threshold: float
    false_alarms: int
    hours: float
    budget_per_hour: float
    provable_per_hour: float

    @property
    def long_enough(self) -> bool:
        """Whether so much audio can prove the budget at all."""
        return self.provable_per_hour <= self.budget_per_hour


def smooth(values: ArrayLike, smoothing: int) -> Floats:
    """Averages each window with those before it; before the first window there was nothing, 0.

    Args:
        values: [W, K] scores.
        smoothing: windows in the average, at least 1.

    Returns:
        [W, K], the same for a window whatever comes after it.
    """
    scores = np.asarray(values, dtype=np.float64)
    total = scores.copy()
    for back in range(1, min(smoothing, len(scores))):
        total[back:] += scores[:-back]
    return total / smoothing


def events(
    values: ArrayLike, times_s: Floats, *, threshold: float | ArrayLike, smoothing: int, refractory_s: float
) -> list[Event]:
    """Finds the events in a stream of scores.

    Args:
        values: [W, K] scores of the keywords that can fire.
        times_s: [W] rising, in s.
        threshold: one for all, or [K] one per keyword; the keyword furthest above its own fires.
        smoothing: windows in the moving average, at least 1.
        refractory_s: after an event nothing fires for so long, in s.

    Returns:
        The events in order of time.
    """
    return Firing(threshold, smoothing=smoothing, refractory_s=refractory_s).push(values, times_s)


class Firing:
    """Finds the events in a stream of scores that arrives piece by piece.

    Args:
        threshold: one for all, or [K] one per keyword; the keyword furthest above its own fires.
        smoothing: windows in the moving average, at least 1.
        refractory_s: after an event nothing fires for so long, in s.
    """

    def __init__(self, threshold: float | ArrayLike, *, smoothing: int, refractory_s: float) -> None:
        self._threshold = np.asarray(threshold, dtype=np.float64)
        self._smoothing, self._refractory_s = smoothing, refractory_s
        self._before: Floats | None = None
        self._free_at_s = -np.inf

    def push(self, values: ArrayLike, times_s: Floats) -> list[Event]:
        """Takes the next scores.

        Args:
            values: [W, K] scores of the keywords that can fire.
            times_s: [W] rising, in s.

        Returns:
            The events among them, in order of time.
        """
        smoothed = self.smoothed(values)
        if not smoothed.size:
            return []
        limits = np.broadcast_to(self._threshold, smoothed.shape[1:])
        shared = bool((limits == limits[0]).all())
        best = (smoothed if shared else smoothed - limits).argmax(axis=1)
        score = smoothed[np.arange(len(smoothed)), best]
        above = (score >= limits[best]) & (times_s >= self._free_at_s)
        fired = _first_of_each(above, times_s, self._refractory_s)
        if fired:
            self._free_at_s = float(times_s[fired[-1]]) + self._refractory_s - _TIME_TOLERANCE_S
        return [Event(float(times_s[w]), int(best[w]), float(score[w])) for w in fired]

    def smoothed(self, values: ArrayLike) -> Floats:
        """Averages the next scores [W, K] with those before them, and keeps what the next ones need."""
        scores = np.asarray(values, dtype=np.float64)
        if self._before is None:
            self._before = np.zeros((self._smoothing - 1, *scores.shape[1:]))
        known = np.concatenate([self._before, scores])
        self._before = known[len(known) - (self._smoothing - 1) :]
        return smooth(known, self._smoothing)[self._smoothing - 1 :]


def events_of(stream: ScoreStream, threshold: float | ArrayLike, trigger: Trigger) -> list[Event]:
    """Finds the events in one stream, see `events`.

    Args:
        stream: scores along continuous audio.
        threshold: one for all keywords, or one per keyword.
        trigger: smoothing and refractory time.

    Returns:
        The events in order of time.
    """
    return events(
        stream.keyword_values,
        stream.times_s,
        threshold=threshold,
        smoothing=trigger.windows(stream.hop_s),
        refractory_s=trigger.refractory_s,
    )


def count_events(
    values: ArrayLike, times_s: Floats, thresholds: ArrayLike, *, smoothing: int, refractory_s: float
) -> NDArray[np.int64]:
    """Counts the events for many thresholds in one pass over the stream.

    Args:
        values: [W, K] scores of the keywords that can fire.
        times_s: [W] rising, in s.
        thresholds: [H] in any order.
        smoothing: windows in the moving average, at least 1.
        refractory_s: after an event nothing fires for so long, in s.

    Returns:
        [H, K], the same as counting what `events` gives for each threshold.
    """
    smoothed = smooth(values, smoothing)
    limits = np.asarray(thresholds, dtype=np.float64)
    order = np.argsort(limits)
    counts = np.zeros((smoothed.shape[1], len(limits)), dtype=np.int64)
    if smoothed.size:
        best, peak = smoothed.argmax(axis=1), smoothed.max(axis=1)
        reached = np.searchsorted(limits[order], peak, side="right")
        free_at_s = np.full(len(limits), -np.inf)
        for w in np.flatnonzero(reached):
            fires = free_at_s[: reached[w]] <= times_s[w] + _TIME_TOLERANCE_S
            counts[best[w], : reached[w]] += fires
            free_at_s[: reached[w]][fires] = times_s[w] + refractory_s
    unsorted = np.empty_like(counts)
    unsorted[:, order] = counts
    return unsorted.T


def hours_of(streams: Sequence[ScoreStream]) -> float:
    """Hours of audio in all.

    Args:
        streams: stretches of audio without a keyword.

    Returns:
        The sum over the streams.

    Raises:
        InputError: there is none.
    """
    hours = sum(stream.seconds for stream in streams) / 3600
    if hours == 0:
        raise InputError(
            "There is no continuous background audio, so false alarms per hour cannot be given.",
            "Give some with --background, or label some clips _background_.",
        )
    return hours


def false_alarms(streams: Sequence[ScoreStream], threshold: float | ArrayLike, trigger: Trigger) -> int:
    """Counts all events in audio that holds no keyword.

    Args:
        streams: stretches of audio without a keyword.
        threshold: one for all keywords, or one per keyword.
        trigger: smoothing and refractory time.

    Returns:
        The number of events.
    """
    return sum(len(events_of(stream, threshold, trigger)) for stream in streams)


def false_alarms_per_hour(
    streams: Sequence[ScoreStream], threshold: float | ArrayLike, trigger: Trigger
) -> float:
    """Rate of events in audio that holds no keyword.

    Args:
        streams: stretches of audio without a keyword.
        threshold: one for all keywords, or one per keyword.
        trigger: smoothing and refractory time.

    Returns:
        Events per hour.

    Raises:
        InputError: no audio.
    """
    hours = hours_of(streams)
    return false_alarms(streams, threshold, trigger) / hours


def threshold_for_budget(
    streams: Sequence[ScoreStream], fa_per_hour: float, trigger: Trigger
) -> BudgetThreshold:
    """Finds the lowest threshold, common to all keywords, that keeps to a budget of false alarms.

    Args:
        streams: stretches of audio without a keyword.
        fa_per_hour: the budget, in events per hour.
        trigger: smoothing and refractory time.

    Returns:
        The threshold, and whether there is enough audio to prove the budget.

    Raises:
        InputError: no audio, or a negative budget.
    """
    if not fa_per_hour >= 0:
        raise InputError(f"A budget of {fa_per_hour:g} false alarms per hour is negative.", "Give 0 or more.")
    hours = hours_of(streams)
    allowed = int(fa_per_hour * hours + 1e-9)
    peaks = [smooth(s.keyword_values, trigger.windows(s.hop_s)).max(axis=1) for s in streams]

    def count(threshold: float) -> int:
        return sum(
            len(_first_of_each(peak >= threshold, stream.times_s, trigger.refractory_s))
            for peak, stream in zip(peaks, streams, strict=True)
        )

    candidates = np.unique(np.concatenate(peaks))
    too_low, enough = -1, len(candidates)  # count(candidates[too_low]) > allowed
    while enough - too_low > 1:
        middle = (too_low + enough) // 2
        if count(candidates[middle]) > allowed:
            too_low = middle
        else:
            enough = middle
    threshold = float(np.nextafter(candidates[too_low], np.inf)) if too_low >= 0 else 0.0
    return BudgetThreshold(threshold, count(threshold), hours, fa_per_hour, poisson_upper(0, hours))


def _first_of_each(above: NDArray[np.bool_], times_s: Floats, refractory_s: float) -> list[int]:
    """Picks windows in order, each at least one refractory time after the one before."""
    candidates = np.flatnonzero(above)
    when = times_s[candidates]
    chosen: list[int] = []
    index = 0
    while index < len(candidates):
        chosen.append(int(candidates[index]))
        free_at_s = when[index] + refractory_s - _TIME_TOLERANCE_S
        index = max(index + 1, int(np.searchsorted(when, free_at_s)))
    return chosen
