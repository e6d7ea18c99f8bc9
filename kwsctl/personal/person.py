"""What is kept about a person, as values: the keywords that were enrolled, and the profile around them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError

Policy = Literal["biased", "only"]
POLICIES = ("biased", "only")


def now() -> str:
    """Gives the time as ISO 8601, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Keyword:
    """A keyword that a person enrolled.

    Attributes:
        name: the label.
        method: how it was learned, a file in `learning/adapters/`.
        policy: `biased` (others who say it are neutral) or `only` (others are rejected).
        threshold: the score from which it counts as detected.
        far: false-alarm rate per clip that the threshold was chosen for; None if for another budget.
        fa_per_hour: false alarms per hour that it was chosen for; None if for another budget.
        fusion: coefficients that join keyword and speaker score; empty where only the first counts.
        clips: how many it was learned from.
        expected: what the person was told to expect, as JSON-able values.
    """

    name: str
    method: str
    policy: Policy
    threshold: float
    far: float | None = None
    fa_per_hour: float | None = None
    fusion: tuple[float, ...] = ()
    clips: int = 0
    expected: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InputError(f"The policy {self.policy!r} is unknown.", f"Known: {', '.join(POLICIES)}.")
        if not math.isfinite(self.threshold):
            raise InputError(f"The threshold of {self.name!r} is {self.threshold}.", "Enroll it again.")


@dataclass(frozen=True)
class Profile:
    """All that is kept about a person besides the ledger.

    Attributes:
        user: the name.
        base_sha256: identity of the bundle that the first change was made on.
        base: how that bundle was named, such as a path.
        keywords: what was enrolled, by name.
        deltas: the changes to the bundle, oldest first, each made on the result of those before.
        voice: speaker template [S]; None if there is none.
        centroids: per keyword, embeddings [K, E] of its K enrolled clips.
        enrolled: sha256 of the enrolled clips, so that no evaluation uses them.
        replay: per keyword, its enrolled clips [K, F, T'] as `enrolment.as_features` keeps them, learned from
            again when it adapts.
        heard: features [N, F, T'] of segments of streams that were learned from, by keyword, label and number
            of the update.
        digests: names of these segments, so that none is learned from twice.
        updates: facts about each adaptation, oldest first, as JSON-able values.
        created: ISO time of the first enrolment.
        links: from how many links it was read; 0 for a new one.
    """

    user: str
    base_sha256: str
    base: str
    keywords: Mapping[str, Keyword] = field(default_factory=dict)
    deltas: tuple[Delta, ...] = field(default=(), repr=False)
    voice: Tensor | None = field(default=None, repr=False)
    centroids: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    enrolled: tuple[str, ...] = field(default=(), repr=False)
    replay: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    heard: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    digests: tuple[str, ...] = field(default=(), repr=False)
    updates: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    created: str = field(default_factory=now)
    links: int = 0
