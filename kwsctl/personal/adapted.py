"""What became of a stream, as `kwsctl adapt` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Adapted:
    """What `kwsctl adapt` tells.

    Attributes:
        user: whose model.
        keyword: what was adapted.
        method: how.
        windows: windows that were heard.
        positives: segments taken for the person's calls and learned from.
        negatives: segments taken for something else and learned from.
        abstained: segments that the votes did not agree on.
        updates: updates that were taken.
        rolled_back: updates that the guard refused, with the reasons.
        canary_before: figures of the guard before the first update; empty if there was none.
        canary_after: figures after the last update that was taken.
        threshold: score from which the keyword counts now.
        seconds: of audio that was heard.
        skipped: streams, or parts of them in s, that were heard before.
        ledger: the file with every line.
        real_time_factor: CPU seconds that it took for a second of audio.
        asked: segments that wait for `kwsctl users review`.
        stopped: whether it was told to stop before the end.
    """

    user: str
    keyword: str
    method: str
    windows: int
    positives: int
    negatives: int
    abstained: int
    updates: int
    rolled_back: Mapping[str, int]
    canary_before: Mapping[str, float]
    canary_after: Mapping[str, float]
    threshold: float
    seconds: float
    skipped: float
    ledger: Path
    real_time_factor: float
    asked: int
    stopped: bool
