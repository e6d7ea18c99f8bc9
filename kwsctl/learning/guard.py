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
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.learning.adapters._enrolment import margins
from kwsctl.learning.budget import share_above, threshold_for
from kwsctl.learning.canary import RARER, CanaryFigures, height_of
from kwsctl.learning.enrolment_trials import peaks
from kwsctl.learning.promise import to_expect


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


Embed = Callable[[Bundle, Tensor], Tensor]
"""Embeds features [N, F, T] by a bundle's own network, or knows the answer already."""


def figures(
    canary: Canary,
    bundle: Bundle,
    keyword: str,
    threshold: float,
    base: Bundle,
    embedded: Embed,
    *,
    rarer: float = RARER,
) -> CanaryFigures:
    """Scores a canary.

    Args:
        canary: what is never learned from.
        bundle: a person's model.
        keyword: one of its labels.
        threshold: of the margin, that is in use with this model.
        base: the global model.
        embedded: embeds features.
        rarer: how much rarer than the budget the false alarms are at which calls to expect are told.

    Returns:
        Its figures.
    """
    others = peaks(bundle, keyword, embedded(bundle, canary.passing))
    logits = cast(nn.Linear, bundle.network.head)(embedded(bundle, canary.calls))
    own = margins(bundle, keyword, logits).double().numpy()
    fair = threshold_for(others, canary.budget)
    strict = threshold_for(others, canary.budget / rarer)
    words, reference = embedded(bundle, canary.words), embedded(base, canary.words)
    turned = 1 - float(fn.cosine_similarity(words, reference, dim=1).mean())
    return CanaryFigures(
        calls=float((own >= fair).mean()),
        heard=to_expect(own, threshold),
        expected=to_expect(own, strict),
        false_alarms=share_above(others, threshold),
        global_task=told_right(words, canary.names),
        drift=turned,
        height=height_of(threshold, own, fair),
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
