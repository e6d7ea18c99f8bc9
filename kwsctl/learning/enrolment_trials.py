"""Lets adapters learn one keyword, and judges them by what they were not given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.learning.adapters._enrolment import Enrolment, embed, margins
from kwsctl.learning.budget import limit_of_rearranged, threshold_for
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_material import PLACES, Material, passing
from kwsctl.learning.promise import Promise, promise
from kwsctl.learning.voice_fusion import fused
from kwsctl.seeding import numpy_generator

ADAPTERS = "kwsctl.learning.adapters"
DEEP_PARTS = 3  # learning takes a second: clips are left out some at a time


class Adapter(Protocol):
    """A file in `learning/adapters/`."""

    def learn(self, task: Enrolment) -> Delta:
        """Makes the change of one keyword."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One adapter's answer and how it does on what it was not given.

    Attributes:
        method: the adapter.
        delta: what it gave.
        threshold: margin for the budget.
        left_out: [K] margins of the clips, each by a model without it (and others, where learning is slow);
            empty for a single clip.
        negatives: [N] margins of the held-out stored negatives, of those in two rooms the higher one.
        expected: what the person may expect.
    """

    method: str
    delta: Delta
    threshold: float
    left_out: NDArray[np.float64]
    negatives: NDArray[np.float64]
    expected: Promise


def tried(name: str, material: Material, options: EnrollOptions) -> Trial:
    """Lets one adapter learn, and judges it by what it was not given.

    Args:
        name: file in `learning/adapters/`.
        material: see `gathered`.
        options: policy and budget.

    Returns:
        Its change, threshold and promise.
    """
    task = material.task
    adapter = cast(Adapter, registry.load(ADAPTERS, name))
    delta = adapter.learn(task)
    personal = task.base.with_delta(delta)
    in_head = all(name.startswith("head.") for name in delta.changes)

    def peak(features: Tensor, known: Tensor) -> NDArray[np.float64]:
        embeddings = known if in_head else embed(personal.network, passing(features))
        return peaks(personal, task.keyword, embeddings)

    stored = list(map(peak, material.held_out, material.held_out_embeddings))
    mixed = peak(material.rearranged, material.rearranged_embeddings)
    left_out = _left_out(adapter, task, len(task.power) if in_head else DEEP_PARTS)
    if options.policy == "only" and material.voices is not None and material.own_voices is not None:
        stored = list(map(fused, stored, material.voices))
        mixed = fused(mixed, np.full(len(mixed), material.own_voices.mean() if len(left_out) else 1.0))
        left_out = fused(left_out, material.own_voices)
    negatives = np.max(stored, axis=0)
    threshold = max(
        threshold_for(negatives, options.budget),
        limit_of_rearranged(mixed, options.budget, is_known=material.is_known),
    )
    expected = promise(left_out, threshold, numpy_generator(options.seed, "promise"))
    return Trial(name, delta, threshold, left_out, negatives, expected)


def _left_out(adapter: Adapter, task: Enrolment, parts: int) -> NDArray[np.float64]:
    """Gives the [K] margins of the clips, each by a model that learned without its part of them."""
    n_clips = len(task.power)
    found = np.zeros(n_clips if n_clips > 1 else 0)
    for part in range(min(parts, len(found))):
        asked = list(range(part, n_clips, parts))
        personal = task.base.with_delta(adapter.learn(task.without(asked)))
        found[asked] = margins_of(personal, task.keyword, task.positives[asked])
    return found


def peaks(bundle: Bundle, keyword: str, embeddings: Tensor) -> NDArray[np.float64]:
    """Gives the highest margin of each word on its way through the window.

    Args:
        bundle: the person's.
        keyword: one of its labels.
        embeddings: [P N, E] of `passing` words.

    Returns:
        [N] margins.
    """
    found = margins(bundle, keyword, cast(nn.Linear, bundle.network.head)(embeddings))
    return found.view(len(PLACES), -1).amax(0).double().numpy()


def margins_of(bundle: Bundle, keyword: str, features: Tensor) -> NDArray[np.float64]:
    """Gives the [N] margins of a keyword for features [N, F, T], see `adapters._enrolment.margins`.

    Args:
        bundle: the person's.
        keyword: one of its labels.
        features: of words.

    Returns:
        The margins.
    """
    logits = cast(nn.Linear, bundle.network.head)(embed(bundle.network, features))
    return margins(bundle, keyword, logits).double().numpy()
