"""How the library says how far it is, without knowing whether anybody looks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by anything that may take longer than two seconds."""

    def __call__(self, done: int, total: int | None, /, **facts: str | float) -> None:
        """Takes how far the work is.

        Args:
            done: units finished.
            total: units in all, None while it is not known.
            **facts: what else is worth showing, such as `loss=0.31`.
        """


def silent(done: int, total: int | None, /, **facts: str | float) -> None:
    """Shows nothing."""
