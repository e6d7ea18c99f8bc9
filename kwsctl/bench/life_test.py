"""Tests a person's model on continuous audio: their calls at a fixed rate of false alarms on other people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl import registry
from kwsctl.architecture import MODELS
from kwsctl.bench import life
from kwsctl.bundle import Bundle
from kwsctl.evaluation.detection import events_of, threshold_for_budget
from kwsctl.evaluation.streams import ScoreStream, Trigger
from kwsctl.features.logmel import compress, mel_power
from kwsctl.learning.adapters._enrolment import margins

BLOCK_FRAMES = 2_048
FA_PER_HOUR = 0.5
TRIGGER = Trigger()


@dataclass(frozen=True, eq=False)
class Heard:
    """A stream as mel power, and what is said in it.

    Attributes:
        power: [F, T] of the speech.
        said: the truth.
        seconds: its length.
    """

    power: Tensor = field(repr=False)
    said: Sequence[life.Said] = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class Tested:
    """How a model does.

    Attributes:
        recall: share of the person's calls heard at `FA_PER_HOUR`.
        own_recall: the same at the model's own threshold.
        own_false_alarms: false alarms an hour there.
        own_words: share of the person's other words that fire at `FA_PER_HOUR`.
        impostors: share of others who say the keyword that fire there.
        calls: how many there were.
        hours: of other people.
    """

    recall: float
    own_recall: float
    own_false_alarms: float
    own_words: float
    impostors: float
    calls: int
    hours: float


def heard(stream: life.Stream, bundle: Bundle) -> Heard:
    """Makes features of a stream, a minute at a time."""
    spec = bundle.features
    hop, size = spec.hop_samples, 6_000
    parts = []
    for first in itertools.count(0, size):
        samples = stream.samples[first * hop : (first + size - 1) * hop + spec.window_samples]
        if len(samples) < spec.window_samples:
            break
        parts.append(mel_power(torch.from_numpy(samples)[None], spec)[0].to(torch.bfloat16))
    return Heard(torch.cat(parts, 1), stream.said, stream.seconds)


@torch.inference_mode()
def pooled(bundle: Bundle, power: Tensor, noise: Tensor | None) -> Tensor:
    """Runs the streaming form over a stream.

    Args:
        bundle: the model.
        power: [F, T] mel power of the speech.
        noise: [F, M] mel power of a noise, repeated; None for none. Powers of independent sounds add up.

    Returns:
        [W, C] what the head of the streaming form is given.
    """
    stream: Any = registry.load(MODELS, bundle.arch).stream(bundle.network, bundle.n_frames)
    state, found = stream.initial_state(), []
    for first, part in _blocks(power):
        if noise is not None:
            place = torch.arange(first, first + part.shape[1]) % noise.shape[1]
            part = part + noise[:, place]  # the part is only passed on
        out, state = stream.body(compress(part)[None], state)
        found.append(out[0].T)
    return torch.cat(found)


def _blocks(power: Tensor) -> Iterator[tuple[int, Tensor]]:
    for first in range(0, power.shape[1], BLOCK_FRAMES):
        yield first, power[:, first : first + BLOCK_FRAMES].float()


@torch.inference_mode()
def scores(bundle: Bundle, keyword: str, frames: Tensor, seconds: float) -> ScoreStream:
    """Scores pooled frames [W, C] with a bundle's head, as one keyword alone."""
    stream: Any = registry.load(MODELS, bundle.arch).stream(bundle.network, bundle.n_frames)
    head: nn.Module = stream.head
    logits = torch.cat([head(part) for part in torch.split(frames, 8_192)])
    values = margins(bundle, keyword, logits).double().sigmoid()[:, None].numpy()
    spec, hop_s = bundle.features, stream.stride * bundle.features.hop_ms / 1000
    times_s = (spec.window_samples + (bundle.n_frames - 1) * spec.hop_samples) / spec.sample_rate_hz
    return ScoreStream((keyword,), values, times_s + hop_s * np.arange(len(values)), hop_s, seconds)


def tested(
    mine: ScoreStream,
    said: Sequence[life.Said],
    others: ScoreStream,
    others_said: Sequence[life.Said],
    own_threshold: float,
) -> Tested:
    """Counts events in the person's test and in hours of other people.

    Args:
        mine: scores of the person's test.
        said: its truth.
        others: scores of other people, who also say the keyword now and then.
        others_said: its truth.
        own_threshold: score from which the model itself counts a call.

    Returns:
        Rates.
    """
    impostors = [u for u in others_said if u.kind == "impostor"]
    quiet = masked(others, impostors)
    fair = threshold_for_budget([quiet], FA_PER_HOUR, TRIGGER).threshold
    calls = [u for u in said if u.kind == "keyword"]
    words = [u for u in said if u.kind == "own"]
    hours = others.seconds / 3600
    return Tested(
        recall=_share(mine, calls, fair),
        own_recall=_share(mine, calls, own_threshold),
        own_false_alarms=len(events_of(quiet, own_threshold, TRIGGER)) / hours,
        own_words=_share(mine, words, fair),
        impostors=_share(others, impostors, fair),
        calls=len(calls),
        hours=hours,
    )


def masked(stream: ScoreStream, utterances: Sequence[life.Said]) -> ScoreStream:
    """Silences the scores of windows that touch some utterances."""
    values = stream.values.copy()
    for said in utterances:
        values[_touched(stream, said)] = 0.0
    return ScoreStream(stream.labels, values, stream.times_s, stream.hop_s, stream.seconds)


def _touched(stream: ScoreStream, said: life.Said) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (stream.times_s >= said.start_s) & (stream.times_s <= said.end_s + 1.2)
    return found


def _share(stream: ScoreStream, utterances: Sequence[life.Said], threshold: float) -> float:
    """Gives the share of utterances during which something fires; each is listened to by itself."""
    if not utterances:
        return 0.0
    fired = 0
    for said in utterances:
        rows = np.flatnonzero((stream.times_s >= said.start_s + 0.3) & (stream.times_s <= said.end_s + 0.9))
        part = ScoreStream(
            stream.labels, stream.values[rows], stream.times_s[rows], stream.hop_s, stream.seconds
        )
        fired += bool(len(rows)) and bool(events_of(part, threshold, TRIGGER))
    return fired / len(utterances)
