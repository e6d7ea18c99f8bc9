"""Reads the clips a person gives, trims them, and says which cannot be used and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.audio import files, vad
from kwsctl.audio.clip_faults import fault
from kwsctl.bundle import Bundle
from kwsctl.errors import KwsctlError
from kwsctl.features.augmentation import middle
from kwsctl.features.logmel import mel_power
from kwsctl.learning.adapters._enrolment import MILD, direction, embed, has_unit_length
from kwsctl.storage import sha256_of

UNLIKE = 0.35  # cosine to the mean of the others, on embeddings of length one


@dataclass(frozen=True, eq=False)
class Take:
    """One usable clip.

    Attributes:
        path: where it came from.
        power: [F, T'] mel power of the window around the speech, with a margin on both sides.
        speech_frames: first frame of the speech in `power`, and the one after its last.
        sha256: of the file.
    """

    path: Path
    power: Tensor
    speech_frames: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class Rejected:
    """One clip that cannot be used.

    Attributes:
        path: where it came from.
        reason: why, and what to do about it.
    """

    path: Path
    reason: str


def read(paths: Iterable[Path], base: Bundle) -> tuple[list[Take], list[Rejected]]:
    """Reads and checks clips.

    Args:
        paths: audio files.
        base: its features and window are used.

    Returns:
        Usable clips and the others, in order.
    """
    takes: list[Take] = []
    rejected: list[Rejected] = []
    seen: dict[str, Path] = {}
    for path in paths:
        try:
            samples = files.read(path, rate_hz=base.features.sample_rate_hz)
        except KwsctlError as error:
            rejected.append(Rejected(path, str(error)))
            continue
        digest = sha256_of(path)
        if digest in seen:
            reason = f"the same recording as {seen[digest].name}"
        else:
            reason = fault(samples, base.features.sample_rate_hz, base.clip_s)
        if reason:
            rejected.append(Rejected(path, reason))
        else:
            seen[digest] = path
            takes.append(take(samples, base, path, digest))
    return takes, rejected


def take(samples: NDArray[np.float32], base: Bundle, path: Path, sha256: str) -> Take:
    """Cuts the window around the speech out of a clip.

    Args:
        samples: [S] at the rate of the base.
        base: its features and window are used.
        path: where it came from.
        sha256: of the file.

    Returns:
        The clip as mel power.
    """
    spec = base.features
    start, end = vad.speech_span(samples, spec.sample_rate_hz)
    margin = MILD.shift_frames * spec.hop_samples
    size = spec.samples(base.clip_s) + 2 * margin
    first = (start + end - size) // 2
    window = np.zeros(size, dtype=np.float32)
    kept = samples[max(first, 0) : first + size]
    offset = max(-first, 0)
    window[offset : offset + len(kept)] = kept[: size - offset]
    power = mel_power(torch.from_numpy(window)[None], spec)[0]
    span = [int(np.clip((at - first) // spec.hop_samples, 0, power.shape[1])) for at in (start, end)]
    return Take(path, power, (span[0], span[1]), sha256)


def outliers(base: Bundle, takes: Sequence[Take]) -> list[int]:
    """Finds clips that do not resemble the others, where there are at least three.

    Args:
        base: whose embedding compares them.
        takes: the clips.

    Returns:
        Their numbers, the least similar first; never half of the clips or more.
    """
    if len(takes) < 3:  # of two that differ, nobody knows which one is wrong
        return []
    found = embed(base.model(), middle(torch.stack([t.power for t in takes]), base.n_frames))
    if not has_unit_length(found):
        return []
    unlike = []
    for i in range(len(takes)):
        likeness = float(found[i] @ direction(torch.cat([found[:i], found[i + 1 :]])))
        if likeness < UNLIKE:
            unlike.append((likeness, i))
    return [i for _, i in sorted(unlike)][: (len(takes) - 1) // 2]
