"""A small corpus of people who each say the same words, for whole protocols in seconds."""

from __future__ import annotations

import functools
from pathlib import Path

from kwsctl.bench.few_shot_summary import Case
from kwsctl.bench.people import People, gather
from kwsctl.data.store import ClipStore
from kwsctl.types import Clip
from tests.toy_people import NEW_WORDS, PEOPLE, as_store, crowd, encoder, joined, say


@functools.cache
def strangers() -> People:
    """People and words that the encoder has never heard."""
    return gather(crowd(NEW_WORDS, PEOPLE[:4], 5, "test"), encoder())


def with_leftovers() -> ClipStore:
    """Clips that say a word by a known speaker, and some that do not."""
    left = [Clip(Path("/clips/a.wav"), "_unknown_", "s20"), Clip(Path("/clips/b.wav"), NEW_WORDS[0], None)]
    return joined(
        as_store(left, [say(NEW_WORDS[0], 20), say(NEW_WORDS[0], 21)]), crowd(NEW_WORDS[:2], PEOPLE[:3], 2)
    )


def case(speaker: str, method: str, shots: int, detected: float, keyword: str = "yes") -> Case:
    return Case(speaker, keyword, method, shots, detected, 0.25, 0.02, 5, 100 * shots, seconds=1.5)
