"""What a profile tells of a person and of earlier updates, as learning needs it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError, ProfileError
from kwsctl.learning.budget import far_of
from kwsctl.learning.known import Known
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.segments import Segment
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.votes import Decision
from kwsctl.personal import profile, review
from kwsctl.personal.enrolment import as_power
from kwsctl.personal.person import Keyword, Profile

DEFAULT_BUDGET = 0.005


def known_of(person: Profile, base: Bundle, keyword: str, negatives: StoredNegatives, seed: int) -> Known:
    """Gives what learning needs to know of a person.

    Args:
        person: the profile.
        base: the bundle it was made on.
        keyword: one of its keywords.
        negatives: of other people.
        seed: of everything random.

    Returns:
        The person as the profile has them.

    Raises:
        ProfileError: the profile was made on another bundle.
    """
    about = person.keywords[keyword]
    return Known(
        base=base,
        current=profile.apply(person, base),
        keyword=keyword,
        threshold=_margin(about.threshold),
        replay=as_power(person.replay[keyword]),
        voice=person.voice,
        only=about.policy == "only",
        budget=_budget(about),
        negatives=negatives,
        seed=seed,
        tuned=any("room" in d.made_by and d.made_by.get("keyword") == keyword for d in person.deltas),
    )


def first_of(person: Profile, base: Bundle, keyword: str) -> tuple[Bundle, float]:
    """Gives the model and the threshold as they were before the keyword learned from any segment of a stream.

    That is as it was enrolled, or as it was when it had learned a room.
    """
    facts = [update for update in person.updates if update["keyword"] == keyword]
    rooms = [number for number, update in enumerate(facts) if update.get("room")]
    facts = facts[rooms[-1] + 1 :] if rooms else facts
    deltas, threshold = person.deltas, person.keywords[keyword].threshold
    if facts:
        deltas, threshold = deltas[: facts[0]["deltas_before"]], facts[0]["threshold_before"]
    return profile.apply(dataclasses.replace(person, deltas=deltas), base), _margin(threshold)


def recalled(person: Profile, keyword: str) -> Iterator[tuple[Labelled, str]]:
    """Gives the segments that were learned from before or told about, and by which update or answer."""
    for name, features in person.heard.items():
        word, decision, number = name.rsplit("/", 2)
        if word == keyword:
            for one in as_power(features):
                segment = Segment(0, 0.0, 0.0, (), one)
                side: Decision = "positive" if decision == "positive" else "negative"
                told = number.startswith(review.ASKED)
                yield Labelled(segment, side, "earlier", {}, told=told), number


def chosen(person: Profile, keyword: str | None) -> str:
    """Finds the keyword to adapt, where only one is possible, and checks that it can."""
    known = sorted(person.keywords)
    if keyword is None and len(known) == 1:
        keyword = known[0]
    if keyword not in known:
        asked = "No keyword is given" if keyword is None else f"There is no keyword {keyword!r}"
        raise InputError(f"{asked}.", f"{person.user} has {', '.join(known)}: give one with --keyword.")
    if keyword not in person.replay:
        raise ProfileError(
            f"The profile of {person.user!r} keeps no features of {keyword!r} to learn from again.",
            f"Enroll it again: kwsctl enroll CLIP… --user {person.user} --keyword {keyword!r}",
        )
    return keyword


def _budget(keyword: Keyword) -> float:
    if keyword.fa_per_hour is not None:
        return far_of(keyword.fa_per_hour)
    return keyword.far if keyword.far is not None else DEFAULT_BUDGET


def _margin(score: float) -> float:
    inside = min(max(score, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))


def answered(person: Profile) -> list[str]:
    """Names the segments that the person has told about."""
    numbers = [name.rsplit("/", 1)[1] for name in person.heard]
    return [number for number in numbers if number.startswith(review.ASKED)]
