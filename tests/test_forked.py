"""The same task in several processes: in order, counted, and what fails is told at once."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from kwsctl.errors import InputError, KwsctlError
from kwsctl.forked import side_by_side

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_made_comes_in_order_and_is_counted(workers: int) -> None:
    counted: list[tuple[int, int | None]] = []
    here = os.getpid()
    made = side_by_side(
        lambda n: (n * n, os.getpid()), 7, workers, "", lambda done, of, **_: counted.append((done, of))
    )
    assert [square for square, _ in made] == [n * n for n in range(7)]
    assert ({pid for _, pid in made} == {here}) == (workers == 1)
    assert counted == [(n + 1, 7) for n in range(7)]


def test_nothing_to_do_is_done() -> None:
    assert list(side_by_side(lambda n: n, 0, 4, "")) == []


def test_what_a_process_raises_is_raised_here() -> None:
    def fail(number: int) -> int:
        if number == 1:
            raise InputError("This cannot be.", "Try another.")
        return number

    with pytest.raises(InputError, match="This cannot be"):
        side_by_side(fail, 4, 2, "")


def test_a_killed_process_is_told_with_the_remedy() -> None:
    with pytest.raises(KwsctlError, match=r"One of 2 processes .* was killed.*Use fewer"):
        side_by_side(lambda _: os.kill(os.getpid(), signal.SIGKILL), 3, 2, "Use fewer.")
