"""Adds an enrolled keyword to a person's profile."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.features.logmel import POWER_FLOOR
from kwsctl.learning.enroll import Enrolled, as_facts
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.personal.person import Keyword, Profile

LOWEST, STEP = math.log(POWER_FLOOR), 0.1


def added(
    profile: Profile | None,
    enrolled: Enrolled,
    *,
    user: str,
    base: Bundle,
    named: str,
    options: EnrollOptions,
    clips: tuple[str, ...],
    power: Tensor | None = None,
) -> Profile:
    """Gives the profile with one keyword more, or with a keyword that was enrolled again.

    Args:
        profile: of the person so far, None for a new one.
        enrolled: the keyword.
        user: name of the person.
        base: the global bundle.
        named: how to name it.
        options: how the keyword was enrolled.
        clips: sha256 of the clips.
        power: [K, F, T'] mel power of the clips, to be learned from again when the keyword adapts.

    Returns:
        The new state, not saved yet.
    """
    before = profile or Profile(user=user, base_sha256=base.sha256, base=named)
    keyword = Keyword(
        name=enrolled.keyword,
        method=enrolled.method,
        policy=options.policy,
        threshold=enrolled.threshold,
        far=options.far if options.fa_per_hour is None else None,
        fa_per_hour=options.fa_per_hour,
        fusion=enrolled.fusion,
        clips=enrolled.delta.n_clips,
        expected=as_facts(enrolled),
    )
    voice = enrolled.voice
    if voice is not None and before.voice is not None:  # clips of all keywords tell of the voice
        n_before = sum(k.clips for k in before.keywords.values())
        voice = fn.normalize(n_before * before.voice + keyword.clips * voice, dim=0)
    return dataclasses.replace(
        before,
        keywords={**before.keywords, keyword.name: keyword},
        deltas=(*before.deltas, enrolled.delta),
        voice=voice,
        replay=before.replay if power is None else {**before.replay, keyword.name: as_features(power)},
        # What was learned from streams was learned for the keyword as it was.
        heard={k: t for k, t in before.heard.items() if k.rsplit("/", 2)[0] != keyword.name},
        updates=tuple(facts for facts in before.updates if facts["keyword"] != keyword.name),
        centroids={**before.centroids, keyword.name: enrolled.centroids.to(torch.float16)},
        enrolled=tuple(dict.fromkeys((*before.enrolled, *clips))),
    )


def as_features(power: Tensor) -> Tensor:
    """Gives the logarithm of mel power in 255 steps of 0.4 dB, as profiles keep it."""
    return (((power + POWER_FLOOR).log() - LOWEST) / STEP).round().clamp(0, 255).to(torch.uint8)


def as_log(features: Tensor) -> Tensor:
    """Gives the logarithm of mel power of what `as_features` made, or made before it was in steps."""
    return features * STEP + LOWEST if features.dtype == torch.uint8 else features.float()


def as_power(features: Tensor) -> Tensor:
    """Gives mel power of what `as_features` made."""
    return (as_log(features).exp() - POWER_FLOOR).clamp_min(0.0)
