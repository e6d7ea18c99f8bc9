"""The values that every part of kwsctl shares; everything else is a function between them.

Letters used for shapes in all docstrings:
    B clips in a batch    N clips        S samples      T feature frames
    F mel bins            L labels       E embedding    C channels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError

BACKGROUND = "_background_"
"""Label of long noise or speech that holds no keyword."""
UNKNOWN = "_unknown_"
"""Label of words that are not keywords."""
SILENCE = "_silence_"
"""Label of clips without speech."""
RESERVED_LABELS = (BACKGROUND, UNKNOWN, SILENCE)
POWER_FLOOR = 1e-6
"""Added to the power before the logarithm: 102 dB below a full-scale tone in a 30 ms window at 16 kHz."""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Clip:
    """One labelled stretch of audio.

    Attributes:
        path: the audio file.
        label: the word, or one of `RESERVED_LABELS`.
        speaker: who speaks; None where it is not known.
        split: `train`, `val` or `test`.
        start_s: where the clip begins in the file, in seconds.
        duration_s: length in seconds; None for the rest of the file.
        sha256: of the file, in hex; None where it was not computed.
    """

    path: Path
    label: str
    speaker: str | None = None
    split: str = "train"
    start_s: float = 0.0
    duration_s: float | None = None
    sha256: str | None = None

    @property
    def id(self) -> str:
        """Names the clip in score files: the path, and where it starts unless that is 0."""
        return f"{self.path}@{self.start_s:g}" if self.start_s else str(self.path)


@dataclass(frozen=True)
class FeatureSpec:
    """How audio becomes features: log-mel energies without look-ahead.

    A frame needs exactly `window_ms` of audio and is never padded, so that the streaming
    form can give the same numbers as the whole clip.

    Attributes:
        sample_rate_hz: of the audio, in Hz.
        window_ms: Hann window, in ms.
        hop_ms: from frame to frame, in ms.
        mel_bins: number of mel bands, F.
        f_min_hz: lower edge of the lowest band, in Hz.
        f_max_hz: upper edge of the highest band, in Hz.
    """

    sample_rate_hz: int = 16_000
    window_ms: float = 30.0
    hop_ms: float = 10.0
    mel_bins: int = 40
    f_min_hz: float = 20.0
    f_max_hz: float = 7_600.0

    def __post_init__(self) -> None:
        if not 0 <= self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise InputError(
                f"The mel bands span {self.f_min_hz:g}-{self.f_max_hz:g} Hz.",
                f"They must lie within 0-{self.sample_rate_hz / 2:g} Hz, half the sample rate.",
            )
        if self.window_ms <= 0 or self.hop_ms <= 0 or self.hop_ms > self.window_ms:
            raise InputError(
                f"A window of {self.window_ms:g} ms with a hop of {self.hop_ms:g} ms leaves gaps.",
                "Use 0 < hop_ms <= window_ms.",
            )

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.sample_rate_hz * self.window_ms / 1000)

    @property
    def hop_samples(self) -> int:
        """Samples from frame to frame."""
        return round(self.sample_rate_hz * self.hop_ms / 1000)

    def samples(self, seconds: float) -> int:
        """Samples in a stretch of audio of this length."""
        return round(seconds * self.sample_rate_hz)

    def frames(self, seconds: float) -> int:
        """Feature frames, T, of a clip of this length; 0 if it is shorter than a window."""
        return max(0, 1 + (self.samples(seconds) - self.window_samples) // self.hop_samples)


@dataclass(frozen=True)
class Scores:
    """What a model said of a list of clips.

    Attributes:
        labels: the L keyword names, in the order of the columns.
        values: [N, L] probabilities, float32.
        target: [N] index of the true label, -1 where the true label is not among `labels`.
        clip_ids: N names, see `Clip.id`.
        speakers: N speakers, None where not known.
        seconds: how much audio was scored, in s.
    """

    labels: tuple[str, ...]
    values: NDArray[np.float32]
    target: NDArray[np.int64]
    clip_ids: Sequence[str] = field(repr=False)
    speakers: Sequence[str | None] = field(repr=False)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.target)
        if self.values.shape != (n, len(self.labels)) or len(self.clip_ids) != n or len(self.speakers) != n:
            raise InputError(
                f"Scores of shape {self.values.shape} for {n} clips, {len(self.clip_ids)} names, "
                f"{len(self.speakers)} speakers and {len(self.labels)} labels do not fit together."
            )
