"""Turns a profile into the next link of its chain, and a chain into the profile."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import ProfileError
from kwsctl.personal.link import Link
from kwsctl.personal.person import Keyword, Profile, now


def other_base(user: str, base: str, made_on: str, given: str) -> ProfileError:
    """Makes the error for a profile and a bundle that do not belong together."""
    return ProfileError(
        f"The profile of {user!r} was made on {base} ({made_on[:12]}), this is bundle {given[:12]}.",
        f"Give that one with --model, or start anew: kwsctl users forget {user}",
    )


def profile_of(links: Sequence[Link]) -> Profile:
    """Gives the profile after the last of some links.

    Args:
        links: from the first on, at least one.

    Returns:
        The profile.

    Raises:
        ProfileError: a field is missing or of another kind.
    """
    state = links[-1].state

    def tensor(reference: tuple[int, str]) -> Tensor:
        number, name = reference
        return links[number - 1].tensors[name]

    try:
        return Profile(
            user=links[-1].user,
            base_sha256=state["base_sha256"],
            base=state["base"],
            keywords={
                name: Keyword(**{**fields, "name": name, "fusion": tuple(fields["fusion"])})
                for name, fields in state["keywords"].items()
            },
            deltas=tuple(delta for link in links for delta in link.deltas),
            voice=None if state["voice"] is None else tensor(state["voice"]),
            centroids={name: tensor(reference) for name, reference in state["centroids"].items()},
            enrolled=tuple(state["enrolled"]),
            # Profiles that were made before there was adaptation lack these.
            replay={name: tensor(reference) for name, reference in state.get("replay", {}).items()},
            heard={name: tensor(reference) for name, reference in state.get("heard", {}).items()},
            digests=tuple(state.get("digests", ())),
            updates=tuple(state.get("updates", ())),
            created=state["created"],
            links=len(links),
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f"The profile of {links[-1].user!r} lacks or garbles a field: {error}.",
            "Restore it from a backup, or drop the newest link with `kwsctl users undo`.",
        ) from None


def check_continues(stored: Sequence[Link], profile: Profile) -> None:
    """Refuses a profile that would lose what another process has stored, or bring back what was forgotten.

    Args:
        stored: the chain on the disk.
        profile: the new state.

    Raises:
        ProfileError: it is on another base, lacks a stored change, or was read from a longer chain.
    """
    if stored and stored[0].state["base_sha256"] != profile.base_sha256:
        state = stored[0].state
        raise other_base(profile.user, state["base"], state["base_sha256"], profile.base_sha256)
    deltas = [delta for link in stored for delta in link.deltas]
    continued = len(deltas) <= len(profile.deltas) and all(map(_same, deltas, profile.deltas))
    if len(stored) < profile.links or not continued:
        raise ProfileError(
            f"The profile of {profile.user!r} was changed, undone or forgotten meanwhile.",
            "Nothing was written; do it again on what is there now.",
        )


def _same(one: Delta, other: Delta) -> bool:
    described = (one.base_sha256, one.added_labels) == (other.base_sha256, other.added_labels)
    return (
        described
        and one.changes.keys() == other.changes.keys()
        and all(torch.equal(change, other.changes[name]) for name, change in one.changes.items())
    )


def next_link(stored: Sequence[Link], profile: Profile) -> Link:
    """Makes the link that takes a chain to a new state.

    Args:
        stored: the chain so far.
        profile: the new state.

    Returns:
        The link, with only those tensors that the chain does not hold yet.
    """
    number, new = len(stored) + 1, dict[str, Tensor]()

    def reference(name: str, tensor: Tensor) -> list[Any]:
        for link in stored:
            for held, other in link.tensors.items():
                if other.dtype == tensor.dtype and torch.equal(other, tensor.detach().cpu()):
                    return [link.number, held]
        new[name] = tensor
        return [number, name]

    keywords = {name: dataclasses.asdict(keyword) for name, keyword in profile.keywords.items()}
    state = {
        "base_sha256": profile.base_sha256,
        "base": profile.base,
        "keywords": keywords,
        "voice": None if profile.voice is None else reference("voice", profile.voice),
        "centroids": {name: reference(f"centroids/{name}", t) for name, t in profile.centroids.items()},
        "enrolled": list(profile.enrolled),
        "replay": {name: reference(f"replay/{name}", t) for name, t in profile.replay.items()},
        "heard": {name: reference(f"heard/{name}", t) for name, t in profile.heard.items()},
        "digests": list(profile.digests),
        "updates": [dict(facts) for facts in profile.updates],
        "created": profile.created,
    }
    known = sum(len(link.deltas) for link in stored)
    as_stored = json.loads(json.dumps(state, allow_nan=False))  # tuples become lists: comparable
    return Link(profile.user, number, now(), as_stored, tuple(profile.deltas[known:]), new)
