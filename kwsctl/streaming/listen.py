"""`kwsctl listen`: events of one stream after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from kwsctl.progress import Progress, silent
from kwsctl.streaming.listener import Detection, Listener
from kwsctl.streaming.sources import Source


@dataclass(frozen=True)
class Found:
    """One event, and where.

    Attributes:
        source: file, `stdin` or `mic`.
        detection: what was heard and when.
    """

    source: str
    detection: Detection


def listen(
    listener: Listener,
    sources: Iterable[Source],
    *,
    on_level: Callable[[float], None] = lambda _: None,
    progress: Progress = silent,
) -> Iterator[Found]:
    """Listens to streams, each from its own beginning.

    Args:
        listener: the model.
        sources: what to hear.
        on_level: told the highest score after each piece, for a meter.
        progress: counts seconds of the stream that is heard.

    Yields:
        Events, as soon as they are known.
    """
    rate_hz = listener.ear.bundle.features.sample_rate_hz
    for source in sources:
        listener.reset()
        total = None if source.seconds is None else round(source.seconds)
        for samples in source.pieces:
            for detection in listener.push(samples):
                yield Found(source.name, detection)
            on_level(listener.level)
            progress(round(listener.ear.samples / rate_hz), total)
