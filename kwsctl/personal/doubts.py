"""Keeps the audio of the segments that a person may be asked about, and of no others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.personal import review
from kwsctl.personal.enrolment import as_features

ASK_MARGIN_S = 0.3
SPARE = 8  # times as many are kept as are asked about: updates settle some of them
KEPT_S = 240.0  # a segment of the beginning is judged when the room is known, 200 s later


class Doubts:
    """The segments nearest to being calls, with their audio.

    Args:
        most: how many at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: list[tuple[Labelled, str, NDArray[np.int16]]] = []
        self._recent: deque[NDArray[np.int16]] = deque()
        self._first = self._end = 0

    def listen(self, samples: NDArray[np.float32], before: int, rate_hz: int) -> None:
        """Keeps the last minutes of a stream, of which so many samples came before these."""
        if not self._most:
            return
        if before != self._end:
            self._recent.clear()
            self._first = before
        self._recent.append(np.rint(samples * 32767).clip(-32768, 32767).astype(np.int16))
        self._end = before + len(samples)
        while self._end - self._first - len(self._recent[0]) > KEPT_S * rate_hz:
            self._first += len(self._recent.popleft())

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
        last = round((labelled.segment.time_s + ASK_MARGIN_S) * rate_hz)
        audio = self._between(last - round((bundle.clip_s + 2 * ASK_MARGIN_S) * rate_hz), last)
        if len(audio):
            self._add(labelled, stream, audio)

    def _between(self, first: int, last: int) -> NDArray[np.int16]:
        """Gives the samples of the stream from one place to another, as far as they are kept."""
        parts, at = [np.zeros(0, np.int16)], self._first
        for piece in self._recent:
            parts.append(piece[max(0, first - at) : max(0, last - at)])
            at += len(piece)
        return np.concatenate(parts)

    def _add(self, labelled: Labelled, stream: str, audio: NDArray[np.int16]) -> None:
        self._found.append((labelled, stream, audio))
        self._found = sorted(self._found, key=lambda one: -one[0].nearness)[: SPARE * self._most]

    def asked(self, keyword: str) -> Iterator[review.Asked]:
        """Gives them for the queue."""
        for one, stream, audio in self._found[: self._most]:
            facts = {"stream": stream, "time_s": round(one.segment.time_s, 3), "votes": dict(one.votes)}
            yield review.Asked(one.segment.digest, keyword, facts, as_features(one.segment.power), audio)
