"""A bundle of a few numbers, and profiles on it."""

from __future__ import annotations

import dataclasses
import hashlib

import torch

from kwsctl.bundle import Bundle, Delta
from kwsctl.personal import profile
from kwsctl.personal.profile import Keyword, Profile
from kwsctl.types import FeatureSpec


def bundle(seed: int = 0) -> Bundle:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        "trunk": torch.randn(8, 8, generator=generator),
        "head.weight": torch.randn(2, 8, generator=generator),
        "head.bias": torch.randn(2, generator=generator),
    }
    return Bundle("tcresnet", {}, FeatureSpec(), ("yes", "no"), "keywords", 1.0, weights)


def keyword(name: str = "open sesame", threshold: float = 0.731) -> Keyword:
    expected = {"detection_rate": {"value": 0.96, "n": 5, "ci95": [0.9, 0.99]}, "impostor_far": 0.0123}
    return Keyword(name, "prototype", "only", threshold, 0.01, None, (1.5, -0.25), 3, expected)


def enrolled(user: str = "anna", base: Bundle | None = None, name: str = "open sesame") -> Profile:
    """A first enrolment: one label more."""
    base = base or bundle()
    generator = torch.Generator().manual_seed(1)
    changes = {"head.weight": torch.zeros(3, 8), "head.bias": torch.zeros(3)}
    changes["head.weight"][2] = torch.randn(8, generator=generator)
    delta = Delta(base.sha256, changes, (name,), 3, {"method": "prototype", "shots": 3})
    return Profile(
        user=user,
        base_sha256=base.sha256,
        base="encoder (shipped with kwsctl)",
        keywords={name: keyword(name)},
        deltas=(delta,),
        voice=torch.randn(16, generator=generator),
        centroids={name: torch.randn(3, 8, generator=generator)},
        enrolled=tuple(hashlib.sha256(bytes([n])).hexdigest() for n in range(3)),
        created="2026-01-02T03:04:05+00:00",
    )


def again(before: Profile, base: Bundle, threshold: float) -> Profile:
    """Enrols the keyword once more: another threshold, another row, other embeddings."""
    current = profile.apply(before, base)
    (name,) = before.keywords
    changes = {"head.bias": torch.tensor([0.0, 0.0, threshold])}
    delta = Delta(current.sha256, changes, (), 2, {"method": "bias"})
    return dataclasses.replace(
        before,
        keywords={name: keyword(name, threshold)},
        deltas=(*before.deltas, delta),
        centroids={name: torch.full((2, 8), threshold)},
        enrolled=(*before.enrolled, hashlib.sha256(b"more").hexdigest()),
    )


def facts(found: Profile) -> dict[str, object]:
    """What two equal profiles agree in, with tensors as lists."""
    deltas = [
        (d.base_sha256, d.added_labels, d.n_clips, d.made_by, {n: t.tolist() for n, t in d.changes.items()})
        for d in found.deltas
    ]
    return {
        **{f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name != "links"},
        "deltas": deltas,
        "voice": None if found.voice is None else found.voice.tolist(),
        "centroids": {name: t.tolist() for name, t in found.centroids.items()},
    }
