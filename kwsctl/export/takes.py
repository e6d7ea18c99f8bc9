"""A person's clips as a package hears them: checked, cut around the speech, varied, and rearranged.

The counterpart in numpy of what `learning/enrolment_clips.py` does with torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio import files, vad
from kwsctl.audio.clip_faults import fault
from kwsctl.errors import KwsctlError
from kwsctl.export.runtime import Runtime
from kwsctl.learning.piece_orders import piece_orders
from kwsctl.storage import sha256_of
from kwsctl.types import POWER_FLOOR

Floats = NDArray[np.float32]
MARGIN_FRAMES = 8
VARIATIONS = ((-8, 0.0), (-4, 4.0), (-2, -4.0), (2, 4.0), (4, -4.0), (8, 0.0))
"""Frames that a clip is shifted by, and dB that it is made louder by."""


@dataclass(frozen=True, eq=False)
class Take:
    """One usable clip.

    Attributes:
        path: where it came from.
        sha256: of the file.
        wide: [F, T + 2 margins] features of the window around the speech.
        speech_frames: first frame of the speech in `wide`, and the one after its last.
    """

    path: Path
    sha256: str
    wide: Floats = field(repr=False)
    speech_frames: tuple[int, int]

    def shifted(self, frames: int = 0, gain_db: float = 0.0) -> Floats:
        """Cuts the window [F, T] out, so many frames later, and so much louder."""
        return shifted(self.wide, frames, gain_db)

    def varied(self) -> list[Floats]:
        """Gives the window as it is, then mildly varied."""
        return [self.shifted(), *(self.shifted(*variation) for variation in VARIATIONS)]


def shifted(wide: Floats, frames: int = 0, gain_db: float = 0.0) -> Floats:
    """Cuts the window [F, T] out of one with margins, so many frames later, and so much louder."""
    first = MARGIN_FRAMES + frames
    window = wide[:, first : first + wide.shape[1] - 2 * MARGIN_FRAMES]
    if not gain_db:
        return window
    power = np.maximum(np.exp(window) - POWER_FLOOR, 0) * 10 ** (gain_db / 10)
    return np.asarray(np.log(power + POWER_FLOOR), dtype=np.float32)


def read(paths: Sequence[Path], runtime: Runtime) -> tuple[list[Take], dict[str, str]]:
    """Reads and checks clips.

    Args:
        paths: audio files.
        runtime: its features and window are used.

    Returns:
        Usable clips, and the reasons why others are not, by path.
    """
    manifest = runtime.package.manifest
    takes: list[Take] = []
    rejected: dict[str, str] = {}
    for path in paths:
        try:
            samples = files.read(path, rate_hz=manifest.features.sample_rate_hz)
        except KwsctlError as error:
            rejected[str(path)] = str(error)
            continue
        digest = sha256_of(path)
        same = next((take.path.name for take in takes if take.sha256 == digest), "")
        reason = f"the same recording as {same}" if same else ""
        reason = reason or fault(samples, manifest.features.sample_rate_hz, manifest.clip_s)
        if reason:
            rejected[str(path)] = reason
        else:
            takes.append(_take(samples, runtime, path, digest))
    return takes, rejected


def rearranged(takes: Sequence[Take], count: int, draw: np.random.Generator) -> Floats:
    """Cuts the speech of clips into pieces and puts them together in another order (`piece_orders`).

    Args:
        takes: the clips.
        count: N.
        draw: draws cuts and orders.

    Returns:
        [N, F, T] features in which the same voice does not say the word.
    """
    loudness_db = [10 * np.log10(np.exp(take.wide).sum(0)) for take in takes]
    made = []
    for which, spans in piece_orders(loudness_db, [t.speech_frames for t in takes], count, draw):
        mixed = np.concatenate([takes[which].wide[:, a:b] for a, b in spans], axis=1)
        made.append(mixed[:, MARGIN_FRAMES : mixed.shape[1] - MARGIN_FRAMES])
    return np.stack(made)


def passing(features: Floats, places: Sequence[int]) -> Floats:
    """Moves windows [N, F, T] by so many frames, with silence around; gives [P N, F, T], place by place."""
    n_frames, reach = features.shape[2], max(map(abs, places))
    padded = np.pad(features, ((0, 0), (0, 0), (reach, reach)), constant_values=np.log(POWER_FLOOR))
    return np.concatenate([padded[:, :, reach + at : reach + at + n_frames] for at in places])


def _take(samples: Floats, runtime: Runtime, path: Path, digest: str) -> Take:
    spec, clip_s = runtime.package.manifest.features, runtime.package.manifest.clip_s
    start, end = vad.speech_span(samples, spec.sample_rate_hz)
    size = spec.samples(clip_s) + 2 * MARGIN_FRAMES * spec.hop_samples
    first = (start + end - size) // 2
    window = np.zeros(size, dtype=np.float32)
    kept = samples[max(first, 0) : first + size]
    offset = max(-first, 0)
    window[offset : offset + len(kept)] = kept[: size - offset]
    wide = runtime.features(window)
    low, high = (int(np.clip((at - first) // spec.hop_samples, 0, wide.shape[1])) for at in (start, end))
    return Take(path, digest, wide, (low, high))
