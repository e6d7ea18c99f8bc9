"""Features of many people saying many words, kept with kwsctl: what an enrolled word must not be taken for.

They are features of eight bits, not audio: enough to fit and to test a row of a head, and to replay so that
nothing is forgotten.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.data.store import ClipStore
from kwsctl.data.windows import Windows, gather
from kwsctl.errors import BundleError
from kwsctl.features.logmel import POWER_FLOOR, logmel
from kwsctl.storage import write_bytes
from kwsctl.types import FeatureSpec

FORMAT = 1
LEVELS = 255


@dataclass(frozen=True, eq=False)
class StoredNegatives:
    """N windows of other people.

    Attributes:
        levels: [N, F, T] features in 255 steps from the lowest to the highest.
        low: feature of level 0.
        high: feature of level 255.
        labels: what was said.
        speakers: by whom, None where not known.
        spec: how audio became features.
        sources: where the audio is from, with licences.
    """

    levels: Tensor
    low: float
    high: float
    labels: Sequence[str]
    speakers: Sequence[str | None]
    spec: FeatureSpec
    sources: Sequence[str] = ()

    def features(self, n_frames: int, rows: Sequence[int] | None = None) -> Tensor:
        """Gives [N, F, T] features, cut or filled up with silence to `n_frames` frames."""
        chosen = self.levels if rows is None else self.levels[torch.as_tensor(rows, dtype=torch.long)]
        values = chosen.float() * ((self.high - self.low) / LEVELS) + self.low
        have = values.shape[2]
        first = max(0, (have - n_frames) // 2)
        values = values[:, :, first : first + n_frames]
        missing = n_frames - values.shape[2]
        silence = float(np.log(POWER_FLOOR))
        return torch.nn.functional.pad(values, (missing // 2, missing - missing // 2), value=silence)

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        header = {
            "format": FORMAT,
            "kind": "negatives",
            "low": self.low,
            "high": self.high,
            "labels": list(self.labels),
            "speakers": list(self.speakers),
            "spec": dataclasses.asdict(self.spec),
            "sources": list(self.sources),
        }
        metadata = {"kwsctl": json.dumps(header, sort_keys=True, ensure_ascii=False)}
        write_bytes(path, safetensors.torch.save({"levels": self.levels.contiguous()}, metadata))


def collect(store: ClipStore, windows: Windows, spec: FeatureSpec, sources: Sequence[str]) -> StoredNegatives:
    """Makes stored negatives of windows.

    Args:
        store: the audio.
        windows: N of them.
        spec: how audio becomes features.
        sources: where the audio is from, with licences.

    Returns:
        Their features, in 255 steps.
    """
    features = logmel(torch.from_numpy(gather(store, windows)), spec)
    low, high = float(features.min()), float(features.max())
    levels = ((features - low) * (LEVELS / (high - low))).round().to(torch.uint8)
    clips = [store.clips[int(i)] for i in windows.clip]
    return StoredNegatives(
        levels, low, high, [c.label for c in clips], [c.speaker for c in clips], spec, sources
    )


def load(path: Path) -> StoredNegatives:
    """Reads stored negatives.

    Args:
        path: a file that `StoredNegatives.save` wrote.

    Returns:
        What was saved.

    Raises:
        BundleError: missing, corrupt, or from a newer version.
    """
    remedy = "Reinstall kwsctl, or make it again with benchmarks/encoder.py."
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})["kwsctl"])
            levels = file.get_tensor("levels").clone()
        if header["format"] > FORMAT or header["kind"] != "negatives":
            raise BundleError(f"{path} is a {header['kind']} of format {header['format']}.", remedy)
        return StoredNegatives(
            levels,
            header["low"],
            header["high"],
            header["labels"],
            header["speakers"],
            FeatureSpec(**header["spec"]),
            header["sources"],
        )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise BundleError(f"{path} holds no stored negatives: {error}.", remedy) from None


def spread(labels: Sequence[str], count: int, order: NDArray[np.int64]) -> list[int]:
    """Chooses rows so that labels come in turn.

    Args:
        labels: [N] what was said.
        count: how many to choose at most.
        order: [N] in which candidates of a label are taken.

    Returns:
        Rows, sorted.
    """
    rows_of: dict[str, list[int]] = {}
    for row in order:
        rows_of.setdefault(labels[row], []).append(int(row))
    chosen: list[int] = []
    while rows_of and len(chosen) < count:
        for label in list(rows_of):
            chosen.append(rows_of[label].pop())
            if not rows_of[label]:
                del rows_of[label]
    return sorted(chosen[:count])
