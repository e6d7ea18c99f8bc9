"""95 % intervals: bootstrap over speakers, Wilson where there is one, Poisson for false alarms.

Clips of one speaker are not independent, so the bootstrap draws speakers, not clips (cluster
bootstrap; Davison and Hinkley 1997, section 3.8). Over a handful of speakers it is still somewhat
too narrow, which is why every interval says over how many it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError

Statistic = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made.

    Attributes:
        low: lower end.
        high: upper end.
        method: in words, with the number of speakers or clips it was taken over.
        level: share of such intervals that hold the true value.
    """

    low: float
    high: float
    method: str
    level: float = 0.95


def bootstrap(
    values: NDArray[np.float64] | Sequence[float],
    speakers: Sequence[str | None],
    generator: np.random.Generator,
    *,
    statistic: Statistic | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic, by drawing speakers with replacement.

    Clips without a speaker are drawn one by one. If there is one speaker only, or nothing to
    resample because all values are the same share (0 or 1), the interval of a mean is Wilson's
    over the clips, and `method` says so.

    Args:
        values: [N] one number per clip, such as 1 for right and 0 for wrong.
        speakers: [N] who speaks, None where it is not known.
        generator: where the draws come from.
        statistic: of the values of the drawn clips; the mean by default.
        resamples: number of draws.
        level: of the interval.

    Returns:
        The interval, and over how many speakers or clips it was taken.

    Raises:
        InputError: no clips, lengths that differ, or one speaker and a statistic that is not the mean.
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 0 or len(data) != len(speakers):
        raise InputError(f"An interval over {len(data)} values of {len(speakers)} clips cannot be given.")
    clusters, n_unnamed = _clusters(speakers)
    n_speakers = len(clusters) - n_unnamed
    shares = statistic is None and bool(np.isin(data, (0.0, 1.0)).all())
    if shares and (len(clusters) == 1 or data.min() == data.max()):
        return _wilson_instead(data, n_speakers, n_unnamed, level)
    if len(clusters) == 1:
        raise InputError("One speaker cannot be resampled.", "Test on at least two speakers.")
    if statistic is None:
        draws = _resampled_means(data, clusters, generator, resamples)
    else:
        draws = _resampled(data, clusters, generator, resamples, statistic)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), _bootstrap_method(n_speakers, n_unnamed), level)


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Score interval of a share (Wilson 1927), taking the clips as independent.

    Args:
        successes: how many were so.
        n: out of how many.
        level: of the interval.

    Returns:
        The interval of the share.

    Raises:
        InputError: `n` is 0.
    """
    from scipy.stats import norm  # a second to import

    if n == 0:
        raise InputError("There is nothing to give an interval of: n is 0.")
    z = float(norm.ppf((1 + level) / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(
        low=0.0 if successes == 0 else float(middle - half),
        high=1.0 if successes == n else float(middle + half),
        method=f"Wilson over {n} clips",
        level=level,
    )


def poisson_rate(events: int, hours: float, level: float = 0.95) -> Interval:
    """Exact two-sided interval of a rate per hour (Garwood 1936).

    Args:
        events: how many were counted.
        hours: in how much audio.
        level: of the interval.

    Returns:
        The interval, in events per hour.

    Raises:
        InputError: no audio.
    """
    from scipy.stats import chi2  # a second to import

    _require_hours(hours)
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * events)) / 2 / hours if events else 0.0
    high = float(chi2.ppf(1 - tail, 2 * events + 2)) / 2 / hours
    return Interval(low, high, f"Poisson, {events} in {hours:.3g} h", level)


def poisson_upper(events: int, hours: float, level: float = 0.95) -> float:
    """Exact one-sided upper bound of a rate per hour; without events the rule of three, 3 / hours.

    Args:
        events: how many were counted.
        hours: in how much audio.
        level: confidence that the true rate is below.

    Returns:
        The bound, in events per hour.

    Raises:
        InputError: no audio.
    """
    from scipy.stats import chi2  # a second to import

    _require_hours(hours)
    return float(chi2.ppf(level, 2 * events + 2)) / 2 / hours


def _require_hours(hours: float) -> None:
    if hours <= 0:
        raise InputError(
            f"There are {hours:g} hours of audio, so there is no rate per hour to give.",
            "Give continuous background audio with --background.",
        )


def _clusters(speakers: Sequence[str | None]) -> tuple[list[NDArray[np.int64]], int]:
    """Groups clip indices by speaker; gives how many of the groups are single clips of nobody known."""
    named: dict[str, list[int]] = {}
    unnamed = []
    for index, speaker in enumerate(speakers):
        if speaker is None:
            unnamed.append([index])
        else:
            named.setdefault(speaker, []).append(index)
    groups = [np.array(group, dtype=np.int64) for group in [*named.values(), *unnamed]]
    return groups, len(unnamed)


def _resampled_means(
    data: NDArray[np.float64],
    clusters: list[NDArray[np.int64]],
    generator: np.random.Generator,
    resamples: int,
) -> NDArray[np.float64]:
    """Means of the drawn clips, from sums and sizes per speaker: no clip is touched twice."""
    sums = np.array([data[group].sum() for group in clusters])
    sizes = np.array([len(group) for group in clusters], dtype=np.float64)
    means = np.empty(resamples)
    for index in range(resamples):
        drawn = generator.integers(len(clusters), size=len(clusters))
        means[index] = sums[drawn].sum() / sizes[drawn].sum()
    return means


def _resampled(
    data: NDArray[np.float64],
    clusters: list[NDArray[np.int64]],
    generator: np.random.Generator,
    resamples: int,
    statistic: Statistic,
) -> NDArray[np.float64]:
    draws = np.empty(resamples)
    for index in range(resamples):
        drawn = generator.integers(len(clusters), size=len(clusters))
        draws[index] = statistic(np.concatenate([data[clusters[group]] for group in drawn]))
    return draws


def _wilson_instead(data: NDArray[np.float64], n_speakers: int, n_unnamed: int, level: float) -> Interval:
    interval = wilson(int(data.sum()), len(data), level)
    one = n_speakers + n_unnamed == 1
    reason = "one speaker" if one else "all alike, nothing to resample"
    return Interval(interval.low, interval.high, f"{interval.method} ({reason})", level)


def _bootstrap_method(n_speakers: int, n_unnamed: int) -> str:
    if not n_unnamed:
        return f"bootstrap over {n_speakers} speakers"
    if not n_speakers:
        return f"bootstrap over {n_unnamed} clips, speakers not known"
    return f"bootstrap over {n_speakers} speakers and {n_unnamed} clips of unknown speakers"
