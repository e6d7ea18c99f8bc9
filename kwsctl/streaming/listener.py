"""From samples to events: the ear, the voice where it counts, smoothing, thresholds and a refractory time.

The trigger is the one of `kwsctl.evaluation.detection`, so that a detection means the same in a measurement
and in a room.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError
from kwsctl.evaluation.detection import Firing
from kwsctl.evaluation.streams import Trigger
from kwsctl.streaming.ear import BLOCK_FRAMES, Ear, Heard, compress
from kwsctl.streaming.engine import Engine, Floats
from kwsctl.types import RESERVED_LABELS

NEGLIGIBLE = -3.9
"""A logit that the best likeness of a voice cannot lift above this needs no second look: a score of 0.02."""


@dataclass(frozen=True, eq=False)
class Voice:
    """Whose voice some keywords ask for.

    Attributes:
        template: [S] direction of the person's voice.
        labels: the keywords that only this person may say.
        weight: of the cosine, in the logit.
        offset: cosine at which nothing is added.
    """

    template: Floats
    labels: tuple[str, ...]
    weight: float
    offset: float


@dataclass(frozen=True)
class Detection:
    """One event.

    Attributes:
        time_s: end of the window in which it fired, in s from the beginning of the stream.
        keyword: what was said.
        score: smoothed.
    """

    time_s: float
    keyword: str
    score: float


class Listener:
    """Listens to one stream.

    Attributes:
        ear: what runs the network.
        keywords: the K labels that can fire.
        level: highest score of any keyword in the last block.
        samples: of this stream, so far.

    Args:
        engine: the model, with a threshold for each keyword; nobody else may use it meanwhile.
        trigger: smoothing and refractory time.
        voice: for keywords that only one person may say.
        threshold: one for all keywords, in the place of the model's.
        block_frames: feature frames that are heard at a time.
        gated: let the network rest while nothing stands out of the noise.

    Raises:
        InputError: no keyword, or none with a threshold.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        trigger: Trigger | None = None,
        voice: Voice | None = None,
        threshold: float | None = None,
        block_frames: int = BLOCK_FRAMES,
        gated: bool = True,
    ) -> None:
        trigger = trigger or Trigger()
        known = {} if threshold is not None else engine.thresholds
        self.keywords = tuple(
            label
            for label in engine.labels
            if label not in RESERVED_LABELS and (threshold is not None or label in known)
        )
        if not self.keywords:
            raise InputError(
                "This model has no keyword with a threshold to listen for.",
                "Enroll one, or give --threshold.",
            )
        self.ear = Ear(engine, block_frames=block_frames, gated=gated)
        self._columns = [engine.labels.index(label) for label in self.keywords]
        self._thresholds = np.array([known.get(label, threshold) for label in self.keywords], np.float64)
        self._trigger, self._voice = trigger, voice
        self.reset()

    def reset(self) -> None:
        """Forgets everything, so that another stream can begin."""
        self.ear.reset()
        self.samples, self.level = 0, 0.0
        self._firing = Firing(
            self._thresholds,
            smoothing=self._trigger.windows(self.ear.hop_s),
            refractory_s=self._trigger.refractory_s,
        )

    def push(self, samples: NDArray[np.float32]) -> list[Detection]:
        """Takes the next samples.

        Args:
            samples: [S] in [-1, 1], of any length, at the rate of the model.

        Returns:
            The events that can be told now, in order of time.
        """
        self.samples += len(samples)
        return [event for _, scores in self.scores(samples) for event in scores]

    def finish(self) -> list[Detection]:
        """Ends the stream: hears silence after it, so that what was said last is not lost.

        Returns:
            The events that this brings, none later than the end of the stream; `reset` comes next.
        """
        engine = self.ear.engine
        spec, end_s = engine.features, self.samples / engine.features.sample_rate_hz
        silence = np.zeros((engine.n_frames + engine.delay_frames) * spec.hop_samples, np.float32)
        found = [event for _, scores in self.scores(silence) for event in scores]
        return [dataclasses.replace(event, time_s=min(event.time_s, end_s)) for event in found]

    def scores(self, samples: NDArray[np.float32]) -> Iterator[tuple[Heard, list[Detection]]]:
        """Takes the next samples and gives what was heard along with the events.

        Args:
            samples: as for `push`.

        Yields:
            What the network said of some windows, and the events among them.
        """
        for heard in self.ear.each(samples):
            values = self._values(heard)
            self.level = float(values.max(initial=0.0))
            times_s = np.array([self.ear.end_s(heard.first + w) for w in range(len(values))])
            found = self._firing.push(values, times_s)
            yield heard, [Detection(e.time_s, self.keywords[e.keyword], e.score) for e in found]

    def _values(self, heard: Heard) -> NDArray[np.float64]:
        """Gives the scores [W, K]; 0 while the gate was closed."""
        if not heard.awake.all():
            return np.zeros((len(heard.logits), len(self.keywords)))
        logits = heard.logits
        if self._voice is not None:
            logits = self._with_voice(logits, heard, self._voice)
        return self.ear.engine.scores(logits)[:, self._columns].astype(np.float64)

    def _with_voice(self, logits: Floats, heard: Heard, voice: Voice) -> Floats:
        """Adds the likeness of the voice; a second look only where it could matter."""
        engine = self.ear.engine
        rows = [engine.labels.index(label) for label in voice.labels]
        adjusted = logits.copy()
        adjusted[:, rows] += voice.weight * (-1.0 - voice.offset)
        best = (logits[:, rows] + voice.weight * (1.0 - voice.offset)).max(axis=1)
        for window in np.flatnonzero(best > NEGLIGIBLE).tolist():
            power = self.ear.power_of(heard.first + window)
            if power is not None:
                cosine = float(engine.voice(compress(power)) @ voice.template)
                adjusted[window, rows] = logits[window, rows] + voice.weight * (cosine - voice.offset)
        return adjusted
