"""Keeps the audio of the segments that a person may be asked about, and of no others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.personal import review
from kwsctl.personal.enrolment import as_features

ASK_MARGIN_S = 0.3
SPARE = 8  # times as many are kept as are asked about: when the room is known, others are the nearest
KEPT_SAMPLES = 10 * 16_000


class Doubts:
    """The segments nearest to being calls, with their audio.

    Args:
        most: how many at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: list[tuple[Labelled, str, NDArray[np.int16]]] = []
        self._recent = np.zeros(0, np.float32)
        self._end = 0

    def listen(self, samples: NDArray[np.float32], before: int) -> None:
        """Keeps the last seconds of a stream, of which so many samples came before these."""
        if self._most:
            if before != self._end:
                self._recent = self._recent[:0]
            self._recent = np.concatenate([self._recent[-KEPT_SAMPLES:], samples])
            self._end = before + len(samples)

    def consider(self, labelled: Labelled, stream: str, bundle: Bundle) -> None:
        """Keeps a segment on which the votes did not agree if it is among the nearest, until they do.

        Args:
            labelled: the segment; of one that is known, what is thought of it now.
            stream: where it was heard.
            bundle: says how long a window is.
        """
        if not self._most:
            return
        digest = labelled.segment.digest
        before = [one for one in self._found if one[0].segment.digest == digest]
        self._found = [one for one in self._found if one[0].segment.digest != digest]
        if labelled.decision != "abstain":
            return
        if before:
            self._add(labelled, *before[0][1:])
            return
        rate_hz = bundle.features.sample_rate_hz
        last = round((labelled.segment.time_s + ASK_MARGIN_S) * rate_hz) - (self._end - len(self._recent))
        first = max(0, last - round((bundle.clip_s + 2 * ASK_MARGIN_S) * rate_hz))
        audio = np.rint(self._recent[first : max(first, last)] * 32767).clip(-32768, 32767).astype(np.int16)
        if len(audio):
            self._add(labelled, stream, audio)

    def _add(self, labelled: Labelled, stream: str, audio: NDArray[np.int16]) -> None:
        self._found.append((labelled, stream, audio))
        self._found = sorted(self._found, key=lambda one: -one[0].nearness)[: SPARE * self._most]

    def asked(self, keyword: str) -> Iterator[review.Asked]:
        """Gives them for the queue."""
        for one, stream, audio in self._found[: self._most]:
            facts = {"stream": stream, "time_s": round(one.segment.time_s, 3), "votes": dict(one.votes)}
            yield review.Asked(one.segment.digest, keyword, facts, as_features(one.segment.power), audio)
