"""What cannot be used: not numbers, wrong shapes, a change of another bundle, or far too much."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta

KINDS = ("nan", "shape", "base", "huge", "clips")


@dataclass(frozen=True)
class Options:
    """Of the garbage.

    Attributes:
        kinds: what to send, one after the other.
    """

    kinds: tuple[str, ...] = KINDS


def poison_changes(deltas: Sequence[Delta], options: Options, draw: torch.Generator) -> list[Delta]:
    """Breaks each change in another way."""
    return [_broken(delta, options.kinds[n % len(options.kinds)]) for n, delta in enumerate(deltas)]


def _broken(delta: Delta, kind: str) -> Delta:
    name, change = next(iter(delta.changes.items()))
    if kind == "nan":
        return dataclasses.replace(delta, changes={**delta.changes, name: torch.full_like(change, torch.nan)})
    if kind == "shape":
        return dataclasses.replace(delta, changes={**delta.changes, name: change[None]})
    if kind == "base":
        return dataclasses.replace(delta, base_sha256="0" * 64)
    if kind == "clips":
        return dataclasses.replace(delta, n_clips=10**9)
    ten_gigabytes = torch.zeros(1).expand(10 * 2**30 // 4)  # one number that claims to be many
    return dataclasses.replace(delta, changes={**delta.changes, name: ten_gigabytes})
