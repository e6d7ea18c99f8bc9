"""What a detector does at one threshold, and along all of them.

Clips and continuous audio go through the same smoothing, threshold and refractory time. A keyword
clip is detected if its own keyword fires anywhere in it. False alarms are split: a *wrong word* is
a keyword that fires on a clip of another word; those on background audio are counted per hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation import intervals
from kwsctl.evaluation.detection import count_events, events_of, false_alarms, hours_of, smooth
from kwsctl.evaluation.intervals import Interval
from kwsctl.evaluation.metrics import rate
from kwsctl.evaluation.streams import ScoreStream, Trigger

Floats = NDArray[np.float64]
Threshold = float | dict[str, float]

SILENT = -2
"""Stands for the keyword of clips in which nobody speaks."""
OTHER_WORD = -1
"""Stands for the keyword of clips of words that are not keywords."""

N_THRESHOLDS = 240


@dataclass(frozen=True)
class HeardClips:
    """Clips as score streams, with what they hold.

    Attributes:
        streams: N, one per clip.
        keyword: [N] index among the K keywords, `OTHER_WORD` or `SILENT`.
        speakers: N, None where not known.
    """

    streams: Sequence[ScoreStream] = field(repr=False)
    keyword: NDArray[np.int64] = field(repr=False)
    speakers: Sequence[str | None] = field(repr=False)


@dataclass(frozen=True)
class Background:
    """Continuous audio without keywords, from one source.

    Attributes:
        name: of the source.
        streams: stretches of it.
    """

    name: str
    streams: Sequence[ScoreStream] = field(repr=False)


@dataclass(frozen=True)
class ClipRate:
    """A share of clips.

    Attributes:
        rate: `count` / `n`.
        count: clips that it happened on.
        n: clips that it could happen on.
    """

    rate: float
    count: int
    n: int


@dataclass(frozen=True)
class FalseAlarms:
    """Events on audio without keywords.

    Attributes:
        count: how many.
        hours: of audio.
        per_hour: their rate.
        ci95: exact Poisson interval of the rate.
    """

    count: int
    hours: float
    per_hour: float
    ci95: Interval


@dataclass(frozen=True)
class Detection:
    """How well keywords are detected at one threshold.

    Attributes:
        threshold: on the smoothed score; one for all keywords, or one per keyword.
        threshold_from: how it was chosen, in words.
        frr: share of the keyword clips in which their keyword does not fire.
        frr_ci95: interval of that share.
        n: keyword clips.
        false_alarms: on background audio; None where there is none.
        backgrounds: the same for each source of background audio.
        wrong_word: spoken clips on which a keyword fires that is not theirs; None where none could.
        silence: clips without speech on which a keyword fires; None where there are none.
        trigger: smoothing and refractory time.
        detected: [n] for each keyword clip, whether it was detected.
        speakers: n speakers of these clips.
    """

    threshold: Threshold
    threshold_from: str
    frr: float
    frr_ci95: Interval
    n: int
    false_alarms: FalseAlarms | None
    backgrounds: dict[str, FalseAlarms]
    wrong_word: ClipRate | None
    silence: ClipRate | None
    trigger: Trigger
    detected: NDArray[np.bool_] = field(repr=False)
    speakers: tuple[str | None, ...] = field(repr=False)


@dataclass(frozen=True)
class Tradeoff:
    """What the threshold trades: missed keywords against false alarms.

    Attributes:
        thresholds: [H] rising.
        frr: [H] share of keyword clips that are missed.
        false_alarms_per_hour: [H] on background audio; None where there is none.
        hours: of background audio.
        own_peaks: highest smoothed score of its own keyword in each keyword clip.
        other_peaks: highest smoothed score of any other keyword in each spoken clip.
    """

    thresholds: Floats = field(repr=False)
    frr: Floats = field(repr=False)
    false_alarms_per_hour: Floats | None = field(repr=False)
    hours: float
    own_peaks: Floats = field(repr=False)
    other_peaks: Floats = field(repr=False)


def measure(
    clips: HeardClips,
    backgrounds: Sequence[Background],
    threshold: Threshold,
    trigger: Trigger,
    generator: np.random.Generator,
    *,
    threshold_from: str,
    resamples: int = 2000,
) -> Detection:
    """Counts detections, misses and false alarms at one threshold.

    Args:
        clips: keyword clips and clips of other words.
        backgrounds: continuous audio without keywords, by source.
        threshold: one for all keywords, or one per keyword.
        trigger: smoothing and refractory time.
        generator: for the bootstrap over speakers.
        threshold_from: how the threshold was chosen, in words.
        resamples: draws of the bootstrap.

    Returns:
        All counts at this threshold.

    Raises:
        InputError: no clip holds a keyword.
    """
    keywords = clips.streams[0].keywords if clips.streams else ()
    limits = [threshold[k] for k in keywords] if isinstance(threshold, dict) else threshold
    fired = [{event.keyword for event in events_of(stream, limits, trigger)} for stream in clips.streams]
    spoken = [index for index, keyword in enumerate(clips.keyword) if keyword >= 0]
    detected = np.array([int(clips.keyword[index]) in fired[index] for index in spoken], dtype=np.bool_)
    speakers = tuple(clips.speakers[index] for index in spoken)
    frr = rate(int((~detected).sum()), len(spoken), "clips of the keywords")
    everything = [stream for background in backgrounds for stream in background.streams]
    wrong = np.array([bool(found - {int(k)}) for found, k in zip(fired, clips.keyword, strict=True)])
    among = clips.keyword == OTHER_WORD
    if len(keywords) > 1:  # else no other keyword could fire on a keyword clip
        among |= clips.keyword >= 0
    return Detection(
        threshold=threshold,
        threshold_from=threshold_from,
        frr=frr,
        frr_ci95=intervals.bootstrap((~detected).astype(float), speakers, generator, resamples=resamples),
        n=len(spoken),
        false_alarms=_false_alarms(everything, limits, trigger) if everything else None,
        backgrounds={b.name: _false_alarms(b.streams, limits, trigger) for b in backgrounds},
        wrong_word=_clip_rate(wrong[among]),
        silence=_clip_rate(wrong[clips.keyword == SILENT]),
        trigger=trigger,
        detected=detected,
        speakers=speakers,
    )


def tradeoff(clips: HeardClips, backgrounds: Sequence[Background], trigger: Trigger) -> Tradeoff:
    """Traces misses and false alarms over the thresholds at which they change.

    Args:
        clips: keyword clips and clips of other words.
        backgrounds: continuous audio without keywords, by source.
        trigger: smoothing and refractory time.

    Returns:
        The curve, and the peak scores of the clips.

    Raises:
        InputError: no clip holds a keyword.
    """
    spoken = [(s, int(k)) for s, k in zip(clips.streams, clips.keyword, strict=True) if k >= 0]
    rate(0, len(spoken), "clips of the keywords")
    streams = [stream for background in backgrounds for stream in background.streams]
    own, other = _peaks(clips, trigger)
    thresholds = _interesting(own, [_smoothed(stream, trigger).max(axis=1) for stream in streams])
    found = sum((_counts(stream, thresholds, trigger)[:, k] > 0).astype(float) for stream, k in spoken)
    per_hour = None
    if streams:
        total = sum(_counts(stream, thresholds, trigger).sum(axis=1).astype(float) for stream in streams)
        per_hour = np.asarray(total / hours_of(streams))
    return Tradeoff(
        thresholds=thresholds,
        frr=np.asarray(1 - found / len(spoken)),
        false_alarms_per_hour=per_hour,
        hours=hours_of(streams) if streams else 0.0,
        own_peaks=own,
        other_peaks=other,
    )


def _false_alarms(
    streams: Sequence[ScoreStream], limits: float | list[float], trigger: Trigger
) -> FalseAlarms:
    hours, count = hours_of(streams), false_alarms(streams, limits, trigger)
    return FalseAlarms(count, hours, count / hours, intervals.poisson_rate(count, hours))


def _clip_rate(happened: NDArray[np.bool_]) -> ClipRate | None:
    if not len(happened):
        return None
    count = int(happened.sum())
    return ClipRate(count / len(happened), count, len(happened))


def _smoothed(stream: ScoreStream, trigger: Trigger) -> Floats:
    return smooth(stream.keyword_values, trigger.windows(stream.hop_s))


def _counts(stream: ScoreStream, thresholds: Floats, trigger: Trigger) -> NDArray[np.int64]:
    return count_events(
        stream.keyword_values,
        stream.times_s,
        thresholds,
        smoothing=trigger.windows(stream.hop_s),
        refractory_s=trigger.refractory_s,
    )


def _peaks(clips: HeardClips, trigger: Trigger) -> tuple[Floats, Floats]:
    """Highest smoothed scores, of the clips' own keywords and of all others."""
    own, other = [], []
    for stream, keyword in zip(clips.streams, clips.keyword, strict=True):
        peaks = _smoothed(stream, trigger).max(axis=0)
        if keyword >= 0:
            own.append(peaks[keyword])
            peaks = np.delete(peaks, keyword)
        if len(peaks) and keyword != SILENT:
            other.append(peaks.max())
    return np.array(own, dtype=np.float64), np.array(other, dtype=np.float64)


def _interesting(own: Floats, background: Sequence[Floats]) -> Floats:
    """Thresholds spread over the scores of keyword clips, and over the highest of the background."""
    chosen = [np.quantile(own, np.linspace(0, 1, N_THRESHOLDS // 2))]
    if background:
        highest = np.sort(np.concatenate(background))[::-1]
        ranks = np.unique(np.geomspace(1, len(highest), N_THRESHOLDS // 2).astype(int)) - 1
        chosen += [highest[ranks], np.nextafter(highest[:1], np.inf)]
    return np.unique(np.concatenate(chosen))
