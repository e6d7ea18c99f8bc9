"""`kwsctl listen`: events of one stream after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kwsctl.progress import Progress, silent
from kwsctl.streaming.engine import Floats
from kwsctl.streaming.listener import Detection, Listener
from kwsctl.streaming.sources import Source

LOWEST_DB = -90.0
MINUTE_S = 60


@dataclass(frozen=True)
class Found:
    """One event, and where.

    Attributes:
        source: file, `stdin` or `mic`.
        detection: what was heard and when.
    """

    source: str
    detection: Detection

    def facts(self, user: str | None, model: str) -> dict[str, Any]:
        """Gives the event as it is printed and handed to hooks.

        Args:
            user: whose keywords and thresholds these are; None for everybody's.
            model: sha256 of the model.

        Returns:
            JSON-able facts.
        """
        return {
            "time_s": round(self.detection.time_s, 3),
            "keyword": self.detection.keyword,
            "score": round(self.detection.score, 6),
            "user": user,
            "model": model,
            "source": self.source,
        }


@dataclass(frozen=True)
class Level:
    """What a meter shows.

    Attributes:
        time_s: heard so far, in s.
        loudness_db: root mean square of the last samples, in dB below a full-scale square wave.
        score: highest of any keyword in the last block.
        awake: whether the network runs.
    """

    time_s: float
    loudness_db: float
    score: float
    awake: bool


def listen(
    listener: Listener,
    sources: Iterable[Source],
    *,
    on_level: Callable[[Level], None] | None = None,
    progress: Progress = silent,
) -> Iterator[Found]:
    """Listens to streams, each from its own beginning to its end.

    Args:
        listener: the model.
        sources: what to hear.
        on_level: told after each piece, for a meter.
        progress: counts seconds of the stream that is heard.

    Yields:
        Events, as soon as they are known.
    """
    rate_hz = listener.ear.engine.features.sample_rate_hz
    for source in sources:
        listener.reset()
        total = None if source.seconds is None else round(source.seconds)
        for samples in source.pieces:
            for first in range(0, len(samples), MINUTE_S * rate_hz):
                for detection in listener.push(samples[first : first + MINUTE_S * rate_hz]):
                    yield Found(source.name, detection)
            heard_s = listener.samples / rate_hz
            if on_level is not None:
                on_level(Level(heard_s, loudness_db(samples), listener.level, listener.ear.awake))
            progress(round(heard_s), total)
        for detection in listener.finish():
            yield Found(source.name, detection)


def loudness_db(samples: Floats) -> float:
    """Measures samples [S] in [-1, 1]: their root mean square in dB, `LOWEST_DB` at least."""
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return max(LOWEST_DB, 10 * np.log10(power)) if power > 0 else LOWEST_DB
