"""Augments features instead of audio, so that audio is turned into features once and not in every epoch.

All of it works on mel power before the logarithm, where sounds add up:

- shift: exact, a shift by whole frames of the audio;
- gain: exact, a factor;
- noise: powers add, and the cross term of two independent sounds is zero on average;
- speed and voice: approximate, a stretch of the time and of the mel axis (as in vocal tract length
  perturbation, Jaitly & Hinton 2013);
- masks: SpecAugment (Park et al. 2019, arXiv 1904.08779, section 2) without time warping.

Rooms need the audio and are put in when features are made, see `kwsctl.learning.rendering`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl.features.draws import Draws
from kwsctl.features.logmel import POWER_FLOOR, compress

NoiseSource = Callable[[int], Tensor]
"""Gives so many noises, [N, F, T] mel power."""


@dataclass(frozen=True)
class Augmentation:
    """How much to change each clip; every draw is uniform within the range.

    Attributes:
        shift_frames: largest shift to either side, in frames.
        speed: tempo between 1 - speed and 1 + speed.
        warp: stretch of the mel axis between 1 - warp and 1 + warp.
        gain_db: level between -gain_db and +gain_db.
        noise_share: share of clips that get noise.
        snr_db: lowest and highest ratio of speech to noise.
        time_masks: how many stretches of frames are blanked.
        time_mask_frames: longest stretch.
        mel_masks: how many ranges of mel bins are blanked.
        mel_mask_bins: widest range.
    """

    shift_frames: int = 10
    speed: float = 0.15
    warp: float = 0.1
    gain_db: float = 6.0
    noise_share: float = 0.35
    snr_db: tuple[float, float] = (5.0, 30.0)
    time_masks: int = 1
    time_mask_frames: int = 12
    mel_masks: int = 1
    mel_mask_bins: int = 4


def augment(
    power: Tensor,
    noise: NoiseSource | None,
    n_frames: int,
    how: Augmentation,
    generator: torch.Generator | Draws,
) -> Tensor:
    """Makes one varied batch of features.

    Args:
        power: [B, F, T'] mel power of clips with a margin on both sides, T' >= T.
        noise: asked for as many noises as there are clips that get one; None for no noise.
        n_frames: T of the result.
        how: what to vary and how much.
        generator: draws everything, on the CPU, so that every device gives the same; several draw for the
            clips of several owners.

    Returns:
        [B, F, T] log-mel features.
    """
    draws = generator if isinstance(generator, Draws) else Draws((generator,), (len(power),))
    moved = _move(power, n_frames, how, draws)
    if noise is not None and how.noise_share > 0:
        _add_noise(moved, noise, how, draws)
    if how.gain_db:
        level_db = draws.uniform(-how.gain_db, how.gain_db).to(moved.device)
        moved *= (10 ** (level_db / 10))[:, None, None]
    return mask_(moved.add_(POWER_FLOOR).log_(), how, draws)


def middle(power: Tensor, n_frames: int) -> Tensor:
    """Gives the features of clips as they are: [B, F, T'] mel power to [B, F, T] log-mel."""
    first = (power.shape[2] - n_frames) // 2
    return compress(power[:, :, first : first + n_frames])


def mask_(features: Tensor, how: Augmentation, draws: Draws) -> Tensor:
    """Blanks stretches of time and mel bins with each clip's mean (SpecAugment), in place.

    Args:
        features: [B, F, T].
        how: number and size of the masks.
        draws: for B clips.

    Returns:
        The same features.
    """
    _, n_bins, n_frames = features.shape
    in_time = _stretches(n_frames, how.time_masks, how.time_mask_frames, draws)
    in_mel = _stretches(n_bins, how.mel_masks, how.mel_mask_bins, draws)
    mean = features.mean((1, 2))
    # Few frames and bins are blanked: writing these alone is faster than passing over everything.
    for inside, view in ((in_time, features.transpose(1, 2)), (in_mel, features)):
        clip, place = inside.to(features.device).nonzero(as_tuple=True)
        view[clip, place] = mean[clip, None]
    return features


def _move(power: Tensor, n_frames: int, how: Augmentation, draws: Draws) -> Tensor:
    """Shifts in time; stretches time and mel axes by interpolation where asked for."""
    _, n_bins, n_long = power.shape
    slack = (n_long - n_frames) // 2
    reach = min(how.shift_frames, slack)
    shift = draws.integers(-reach, reach + 1)
    frame = torch.arange(n_frames, dtype=torch.float32)
    if not (how.speed or how.warp):
        index = ((frame.long() + slack)[None] + shift[:, None]).to(power.device)
        return power.gather(2, index[:, None, :].expand(-1, n_bins, -1))
    tempo = 1 + draws.uniform(-how.speed, how.speed)
    warp = 1 + draws.uniform(-how.warp, how.warp)
    return stretch(power, n_frames, tempo, warp, shift)


def stretch(power: Tensor, n_frames: int, tempo: Tensor, warp: Tensor, shift: Tensor) -> Tensor:
    """Stretches time and mel axes by interpolation: another pace and another voice.

    Args:
        power: [B, F, T'] mel power.
        n_frames: T of the result.
        tempo: [B] 1 leaves the pace as it is.
        warp: [B] 1 leaves the mel axis as it is.
        shift: [B] in frames.

    Returns:
        [B, F, T] mel power.
    """
    n_bins, n_long = power.shape[1:]
    tempo, warp, shift = (drawn.to(power.device) for drawn in (tempo, warp, shift))
    frame = torch.arange(n_frames, dtype=torch.float32, device=power.device)
    centred = (frame - (n_frames - 1) / 2)[None] * tempo[:, None]
    source_frame = centred + (n_long - 1) / 2 + shift[:, None]
    source_bin = torch.arange(n_bins, dtype=torch.float32, device=power.device)[None] * warp[:, None]
    # Both axes at once, as an image is resampled: places count from -1 to 1, and the edges are repeated.
    place = torch.stack(
        [
            (source_frame * (2 / (n_long - 1)) - 1)[:, None, :].expand(-1, n_bins, -1),
            (source_bin * (2 / (n_bins - 1)) - 1)[:, :, None].expand(-1, -1, n_frames),
        ],
        dim=-1,
    )
    resampled: Tensor = fn.grid_sample(
        power[:, None], place.to(power), mode="bilinear", padding_mode="border", align_corners=True
    )
    return resampled[:, 0]


def _add_noise(power: Tensor, source: NoiseSource, how: Augmentation, draws: Draws) -> None:
    """Adds noise at the drawn ratios to the share of clips that gets some, in place."""
    chosen = draws.uniform(0.0, 1.0) < how.noise_share
    clips = torch.nonzero(chosen)[:, 0]
    if not len(clips):
        return
    snr_db = draws.of(chosen).uniform(*how.snr_db).to(power.device)
    noise = source(len(clips))
    clips = clips.to(power.device)
    # The level of speech is that of its louder half: silence around a word must not count.
    per_frame = power.sum(1)[clips]
    speech = per_frame.topk(max(1, power.shape[2] // 2), dim=1).values.mean(1)
    level = noise.sum(1).mean(1)
    factor = speech / (level + POWER_FLOOR) * 10 ** (-snr_db / 10)
    power.index_add_(0, clips, noise * factor[:, None, None])


def _stretches(length: int, count: int, longest: int, draws: Draws) -> Tensor:
    """Draws `count` stretches per clip; returns [B, length], true inside."""
    inside = torch.zeros(sum(draws.sizes), length, dtype=torch.bool)
    position = torch.arange(length)[None]
    for _ in range(count):
        size = draws.integers(0, min(longest, length) + 1, 1)
        first = (draws.uniform(0.0, 1.0, 1) * (length - size + 1)).long()
        inside |= (position >= first) & (position < first + size)
    return inside
