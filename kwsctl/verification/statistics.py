"""What the frozen trunk of an encoder tells about a clip: mean and spread over its frames, in every block.

Statistics of several pieces can be put together without the audio, which is how clips of any length, and
several clips at once, are heard.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.errors import BundleError

BATCH = 256
FLOOR = 1e-5  # of the variance, as the trunk has it


def channels_of(encoder: Bundle) -> tuple[int, ...]:
    """Gives the number of channels of each block.

    Args:
        encoder: a bundle with a trunk that tells statistics.

    Returns:
        C of each block; there are 2C statistics of it.

    Raises:
        BundleError: its network tells words only.
    """
    network = encoder.model()
    if not hasattr(network, "statistics"):
        raise BundleError(
            f"{encoder.arch} tells words, not voices.",
            "Use a duet, such as the shipped any-word.safetensors.",
        )
    return tuple(cast(Any, network).channels[1:])


def of_features(encoder: Bundle, features: Tensor) -> Tensor:
    """Gives statistics of clips.

    Args:
        encoder: a bundle with a trunk that tells statistics.
        features: [N, F, T].

    Returns:
        [N, S].
    """
    network = cast(Any, encoder.model())
    with torch.no_grad():
        return torch.cat([network.statistics(part) for part in torch.split(features, BATCH)])


def pooled(statistics: Tensor, channels: tuple[int, ...]) -> Tensor:
    """Puts the statistics of pieces of one length together, as if their frames were those of one clip.

    Args:
        statistics: [B, n, S] of n pieces of each of B clips.
        channels: C of each block.

    Returns:
        [B, S].
    """
    parts = torch.split(statistics, [c for c in channels for _ in (0, 1)], dim=2)
    found = []
    for mean, spread in zip(parts[::2], parts[1::2], strict=True):
        whole = mean.mean(1)
        square = (spread.square() - FLOOR + mean.square()).mean(1)
        found += [whole, ((square - whole.square()).clamp_min(0) + FLOOR).sqrt()]
    return torch.cat(found, 1)
