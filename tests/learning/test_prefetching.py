"""Items made one ahead come in order, errors and all."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from kwsctl.learning.prefetching import core_to_spare, prefetched


def test_the_same_items_in_the_same_order() -> None:
    assert list(prefetched(range(100))) == list(range(100))
    assert list(prefetched([])) == []
    assert list(prefetched([None, 0])) == [None, 0]  # neither ends it


def test_an_item_is_made_while_the_one_before_is_in_use() -> None:
    begun = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        yield 1

    source = prefetched(items())
    assert next(source) == 0
    assert begun.wait(10)


def test_an_error_comes_where_its_item_was_due() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("broken")

    source = prefetched(items())
    assert next(source) == 0
    with pytest.raises(ValueError, match="broken"):
        next(source)


def test_the_thread_calls_no_helpers_and_leaves_other_threads_theirs() -> None:
    before = torch.get_num_threads()
    assert list(prefetched(torch.get_num_threads() for _ in range(2))) == [1, 1]
    assert torch.get_num_threads() == before


def test_batches_are_made_beside_the_steps_of_a_gpu_or_where_a_core_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: torch.get_num_threads())
    assert not core_to_spare(torch.device("cpu"))
    assert core_to_spare(torch.device("cuda"))
    monkeypatch.setattr("os.cpu_count", lambda: torch.get_num_threads() + 1)
    assert core_to_spare(torch.device("cpu"))
