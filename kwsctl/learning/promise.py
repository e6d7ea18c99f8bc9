"""What a person may expect of an enrolled keyword, from clips that were left out in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Found with the shipped encoder on 18 people and two words (benchmarks/enrolment_constants.py); what
# `kwsctl bench promises` prints is of other words.
USUAL_SPREAD = 1.1  # standard deviation of a person's margins
USUAL_SPREAD_CLIPS = 6.0  # as how many clips that counts
GAIN = 1.2  # a model of K clips gives margins higher by GAIN / K than those with one clip left out
UNSURE = 2.0  # variance of the mean: clips that are left out in turn share most of their models' clips
USUAL_MARGIN = 2.0  # what a second clip reaches on average, where only one was given
DRAWS = 4000
CALLS = 10


@dataclass(frozen=True)
class Promise:
    """A detection rate to expect.

    Attributes:
        rate: expected share of calls that are detected.
        low: lower end of the interval for the next `CALLS` calls.
        high: its upper end.
        n: clips that were left out in turn.
    """

    rate: float
    low: float
    high: float
    n: int


def promise(margins: Floats, threshold: float, generator: np.random.Generator) -> Promise:
    """Predicts how many of the next calls pass the threshold.

    A person's margins are taken as normal, their spread known roughly beforehand (a scaled inverse
    chi-squared prior; Gelman et al., Bayesian Data Analysis, section 3.3), so that three clips do not
    promise certainty.

    Args:
        margins: [K] of the clips that were left out, by a model that did not learn from them.
        threshold: of the margin.
        generator: draws the predictions.

    Returns:
        Rate and 95 % interval for the next `CALLS` calls.
    """
    n = len(margins)
    prior_n = USUAL_SPREAD_CLIPS
    if n:
        mean = float(margins.mean()) + GAIN / n
        squares = float(np.square(margins - margins.mean()).sum())
    else:
        mean, squares, n = USUAL_MARGIN, 0.0, 1
    degrees = prior_n + n - 1
    variance = (prior_n * USUAL_SPREAD**2 + squares) / generator.chisquare(degrees, DRAWS)
    centre = generator.normal(mean, np.sqrt(UNSURE * variance / n))
    rates = scipy.stats.norm.sf((threshold - centre) / np.sqrt(variance))
    shares = generator.binomial(CALLS, rates) / CALLS
    low, high = np.quantile(shares, [0.025, 0.975])
    return Promise(float(rates.mean()), float(low), float(high), len(margins))


def to_expect(margins: Floats, threshold: float) -> float:
    """Gives the rate of calls to expect above a threshold, each margin for calls that spread as usual.

    The share of them above it would hardly fall before all other calls are lost, where they are of clips that
    were enrolled, or of segments that were sure.

    Args:
        margins: [K] of a person's calls.
        threshold: of the margin.

    Returns:
        The rate.
    """
    return float(scipy.stats.norm.cdf((margins - threshold) / USUAL_SPREAD).mean())
