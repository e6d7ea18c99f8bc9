"""Adds an enrolled keyword to a person's profile."""

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.learning.enroll import Enrolled, as_facts
from kwsctl.learning.enrolment_trials import EnrollOptions
from kwsctl.personal.person import Keyword, Profile


def added(
    profile: Profile | None,
    enrolled: Enrolled,
    *,
    user: str,
    base: Bundle,
    named: str,
    options: EnrollOptions,
    clips: tuple[str, ...],
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
        centroids={**before.centroids, keyword.name: enrolled.centroids.to(torch.float16)},
        enrolled=tuple(dict.fromkeys((*before.enrolled, *clips))),
    )
