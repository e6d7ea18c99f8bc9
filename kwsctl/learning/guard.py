"""Scores a canary before and after an update, and refuses updates that make anything worse.

An update is taken only if a small hold-out does not degrade, as in conditional online learning (arXiv
2305.13332). The canary has three parts: the person's own calls, what must not be taken for them, and what
the global model could do before anybody adapted it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.stats
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.learning.adapters._enrolment import margins
from kwsctl.learning.budget import share_above, threshold_for
from kwsctl.learning.enrolment_trials import peaks
from kwsctl.learning.promise import USUAL_SPREAD

RARER = 20.0
"""Calls to expect are told at false alarms that are so much rarer than the budget: where all calls are heard
at the budget, what an update does to them shows only there."""
FEWER = 0.8
"""Share of the false alarms that must be left for their fall to be a gain."""


@dataclass(frozen=True)
class Tolerances:
    """What an update may cost, and what it has to give.

    Attributes:
        calls: share of canary calls that may be lost, at equal false alarms and at the threshold in use.
        expected: of the rate of calls to expect, which changes before a call is lost.
        false_alarms: share of the canary's other words above the budget.
        global_task: share of words of the global task that may be told wrong.
        drift: how far the embeddings of the stored negatives may have turned in all since enrolment,
            1 less the mean cosine.
        gain: by which calls to expect have to rise, unless more calls are heard or fewer other words pass.
    """

    calls: float = 0.0
    expected: float = 0.01
    false_alarms: float = 0.002
    global_task: float = 0.003
    drift: float = 0.1
    gain: float = 0.005


@dataclass(frozen=True, eq=False)
class Canary:
    """What is never learned from.

    Attributes:
        calls: [P, F, T] features of the person's calls.
        passing: [P N, F, T] features of what is no call, at several places of the window.
        words: [W, F, T] features of the global task: words of many people.
        names: W words.
        budget: share of other words that may be taken for the keyword.
    """

    calls: Tensor
    passing: Tensor
    words: Tensor
    names: Sequence[str]
    budget: float


@dataclass(frozen=True)
class CanaryFigures:
    """What a model makes of the canary.

    Attributes:
        calls: share of calls above the threshold that the budget of false alarms asks for.
        heard: share of calls above the threshold that is in use.
        expected: rate of calls to expect at a threshold that fewer other words pass than the budget allows.
        false_alarms: share of other words above the threshold that is in use; by their tail, where it is
            smaller than they can show.
        global_task: share of words whose nearest neighbour, by somebody else, is the same word.
        drift: 1 less the mean cosine to the embeddings of the global model.
    """

    calls: float
    heard: float
    expected: float
    false_alarms: float
    global_task: float
    drift: float


Embed = Callable[[Bundle, Tensor], Tensor]
"""Embeds features [N, F, T] by a bundle's own network, or knows the answer already."""


def figures(
    canary: Canary, bundle: Bundle, keyword: str, threshold: float, base: Bundle, embedded: Embed
) -> CanaryFigures:
    """Scores a canary.

    Args:
        canary: what is never learned from.
        bundle: a person's model.
        keyword: one of its labels.
        threshold: of the margin, that is in use with this model.
        base: the global model.
        embedded: embeds features.

    Returns:
        Its figures.
    """
    network = Bundle.model(bundle)
    others = peaks(bundle, network, keyword, embedded(bundle, canary.passing))
    logits = cast(nn.Linear, network.head)(embedded(bundle, canary.calls)).detach()
    own = margins(bundle, keyword, logits).double().numpy()
    fair = threshold_for(others, canary.budget)
    strict = threshold_for(others, canary.budget / RARER)
    words, reference = embedded(bundle, canary.words), embedded(base, canary.words)
    turned = 1 - float(fn.cosine_similarity(words, reference, dim=1).mean())
    return CanaryFigures(
        calls=float((own >= fair).mean()),
        heard=float((own >= threshold).mean()),
        expected=float(scipy.stats.norm.cdf((own - strict) / USUAL_SPREAD).mean()),
        false_alarms=share_above(others, threshold),
        global_task=told_right(words, canary.names),
        drift=turned,
    )


def told_right(embeddings: Tensor, names: Sequence[str]) -> float:
    """Gives the share of words, of those said more than once, whose nearest neighbour is the same word.

    Args:
        embeddings: [W, E].
        names: W words.

    Returns:
        The share; 1 if no word comes twice.
    """
    found = fn.normalize(embeddings, dim=1)
    likeness = found @ found.T
    likeness.fill_diagonal_(-2.0)
    nearest = likeness.argmax(1).tolist()
    said = np.array(names)
    repeated = np.array([np.count_nonzero(said == name) > 1 for name in said])
    return float((said[nearest] == said)[repeated].mean()) if repeated.any() else 1.0


def objection(
    before: CanaryFigures, after: CanaryFigures, budget: float, tolerances: Tolerances, first: CanaryFigures
) -> str:
    """Says why an update must not be.

    Args:
        before: the model in use.
        after: the model proposed.
        budget: share of other words that may be taken for the keyword.
        tolerances: what it may cost.
        first: the model as it was enrolled, so that many small losses do not add up.

    Returns:
        The reason; empty if it may be.
    """
    lost = before.calls - after.calls
    muted = before.heard - after.heard
    within = before.false_alarms <= budget + tolerances.false_alarms
    less = max(before.expected, first.expected) - after.expected
    forgotten = first.global_task - after.global_task
    if lost > tolerances.calls + 1e-9:
        return f"calls heard fall by {lost:.1%}"
    # A threshold that lets too much pass may rise, and calls are lost by that; one within the budget may not.
    if within and muted > tolerances.calls + 1e-9:
        return f"calls heard at the threshold in use fall by {muted:.1%}"
    if less > tolerances.expected:
        return f"calls to expect fall by {less:.1%}"
    if after.false_alarms > max(before.false_alarms, budget) + tolerances.false_alarms:
        return f"other words taken for the keyword rise to {after.false_alarms:.2%}"
    if forgotten > tolerances.global_task:
        return f"words of the global task told right fall by {forgotten:.1%}"
    if after.drift > tolerances.drift:
        return f"the embeddings have turned by {after.drift:.3f} in all"
    gained = after.expected - before.expected >= tolerances.gain
    if not (gained or after.heard > before.heard or after.false_alarms < FEWER * before.false_alarms):
        return "nothing is gained by it"
    return ""
