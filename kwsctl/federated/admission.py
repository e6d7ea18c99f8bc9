"""Lets in what a client may send, and refuses the rest by name: the round goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from kwsctl.bundle import Delta
from kwsctl.federated.layout import Layout

LARGEST_NUMBER = 1e6
"""A weight that moves further than this in a round would overflow what comes after it."""


@dataclass(frozen=True)
class Gate:
    """What the server expects in a round.

    Attributes:
        base_sha256: the bundle that was sent out.
        layout: of the shared weights.
        most_clips: how many clips a client can have at most; a larger number is a way to outvote others.
    """

    base_sha256: str
    layout: Layout
    most_clips: int = 100_000

    @property
    def most_bytes(self) -> int:
        """The longest payload that makes sense: twice the shared weights in single precision."""
        return 2 * 4 * self.layout.size + 1024

    def refusal(self, delta: Delta) -> str | None:
        """Tells why a change is refused; None if it is let in."""
        if delta.base_sha256 != self.base_sha256:
            return f"made on bundle {delta.base_sha256[:12]}, asked for {self.base_sha256[:12]}"
        expected = dict(self.layout.shapes)
        found = {name: tuple(change.shape) for name, change in delta.changes.items()}
        if found != expected:
            return _difference(found, expected)
        if not 0 < delta.n_clips <= self.most_clips:
            return f"claims {delta.n_clips} clips, 1 to {self.most_clips} are believed"
        for name, change in delta.changes.items():
            if not bool(torch.isfinite(change).all()):
                return f"{name} is not finite"
            if float(change.abs().max()) > LARGEST_NUMBER:
                return f"{name} changes by {float(change.abs().max()):.1e}, more than {LARGEST_NUMBER:.0e}"
        return None

    def refusal_of_size(self, n_bytes: int) -> str | None:
        """Tells why a payload is refused before it is read; None if it is let in."""
        return (
            f"sends {n_bytes:,} bytes, at most {self.most_bytes:,} are read"
            if n_bytes > self.most_bytes
            else None
        )


def _difference(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    for name in sorted(set(found) | set(expected)):
        if found.get(name) != expected.get(name):
            return f"{name} has shape {found.get(name, 'none')}, expected {expected.get(name, 'none')}"
    return "other names"
