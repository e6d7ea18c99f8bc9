"""One thing that has to hold, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """One line of what a bench prints last.

    Attributes:
        what: has to hold.
        held: whether it does.
        found: what was measured.
    """

    what: str
    held: bool
    found: str
