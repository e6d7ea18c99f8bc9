"""Moves a person between the float bundle and an exported package, with the same decisions on both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import ProfileError
from kwsctl.export.personal import Part
from kwsctl.export.proving import float_head
from kwsctl.personal import profile as profiles
from kwsctl.personal.person import Keyword, Profile


def exported_bundle(profile: Profile, base: Bundle) -> Bundle:
    """Gives the bundle whose backbone a person's package has.

    Args:
        profile: of the person.
        base: the bundle it was made on.

    Returns:
        The base, where only the head is the person's; otherwise the base with the person's changes.

    Raises:
        ProfileError: the profile is of another base.
    """
    changed = profiles.apply(profile, base)
    head_only = all(name.startswith("head.") for delta in profile.deltas for name in delta.changes)
    return base if head_only else changed


def part_of(profile: Profile, base: Bundle) -> Part:
    """Gives what is a person's, as it lies in a package.

    Args:
        profile: of the person.
        base: the bundle it was made on.

    Returns:
        The part, for a package of `exported_bundle`.

    Raises:
        ProfileError: the profile is of another base.
    """
    return Part(
        user=profile.user,
        base_sha256=exported_bundle(profile, base).sha256,
        backbone_sha256="",
        head=float_head(profiles.apply(profile, base)),
        keywords={name: dataclasses.asdict(keyword) for name, keyword in profile.keywords.items()},
        voice=None if profile.voice is None else profile.voice.float().numpy(),
        centroids={name: value.float().numpy() for name, value in profile.centroids.items()},
        enrolled=profile.enrolled,
        created=profile.created,
    )


def profile_with(part: Part, before: Profile | None, base: Bundle, named: str) -> Profile:
    """Gives a person's profile with what was enrolled on a package.

    Args:
        part: what the package has of the person.
        before: the profile so far; None for a new one.
        base: the bundle that the package was made from.
        named: how it is named.

    Returns:
        The new state, not saved yet; the same as before if nothing was enrolled since.

    Raises:
        ProfileError: the part is of another base.
    """
    start = before or Profile(user=part.user, base_sha256=base.sha256, base=named)
    current = profiles.apply(start, base)
    if part.base_sha256 not in (base.sha256, current.sha256):
        raise ProfileError(
            f"{part.user!r} was enrolled on bundle {part.base_sha256[:12]}, this is {base.sha256[:12]}.",
            "Give the bundle that the package was made from: --model",
        )
    delta = _delta(part, current)
    moved = bool(delta.added_labels) or any(bool(change.any()) for change in delta.changes.values())
    return dataclasses.replace(
        start,
        keywords={**start.keywords, **{n: _keyword(k) for n, k in part.keywords.items()}},
        deltas=(*start.deltas, delta) if moved else start.deltas,
        voice=start.voice if part.voice is None else torch.from_numpy(part.voice),
        centroids={
            **start.centroids,
            **{n: torch.from_numpy(c).to(torch.float16) for n, c in part.centroids.items()},
        },
        enrolled=tuple(dict.fromkeys((*start.enrolled, *part.enrolled))),
    )


def as_profile(part: Part, named: str) -> Profile:
    """Gives a part as a profile without changes, for what asks only who was enrolled with what."""
    keywords = {name: _keyword(keyword) for name, keyword in part.keywords.items()}
    return Profile(part.user, part.base_sha256, named, keywords=keywords, enrolled=part.enrolled)


def _keyword(values: Mapping[str, Any]) -> Keyword:
    return Keyword(**{**values, "fusion": tuple(values["fusion"])})


def _delta(part: Part, current: Bundle) -> Delta:
    """The change that gives a bundle's head the rows of the part."""
    added = tuple(label for label in part.head.labels if label not in current.labels)
    old = float_head(current)
    weights: list[np.ndarray[Any, Any]] = []
    biases: list[float] = []
    for row, label in enumerate((*current.labels, *added)):
        is_old, known = row < len(current.labels), label in part.head.labels
        from_part = part.head.labels.index(label) if known else -1
        weight = part.head.weight[from_part] if known else old.weight[row]
        bias = part.head.bias[from_part] if known else old.bias[row]
        weights.append(weight - old.weight[row] if is_old else weight)
        biases.append(float(bias - old.bias[row]) if is_old else float(bias))
    size = old.weight.shape[1] if old.weight.ndim == 2 else part.head.weight.shape[1]
    changes: dict[str, Tensor] = {
        "head.weight": torch.from_numpy(np.array(weights, dtype=np.float32).reshape(-1, size)),
        "head.bias": torch.from_numpy(np.array(biases, dtype=np.float32)),
    }
    clips = max((int(k.get("clips", 0)) for k in part.keywords.values()), default=0)
    made_by = {"method": "package", "keyword": ", ".join(part.keywords), "backbone": part.backbone_sha256}
    return Delta(current.sha256, changes, added, clips, made_by)
