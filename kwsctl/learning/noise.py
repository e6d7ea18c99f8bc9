"""The noises that are mixed into training clips: recorded where there are some, and made ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kwsctl.features.logmel import mel_power
from kwsctl.seeding import numpy_generator
from kwsctl.types import FeatureSpec

N_MADE = 96


def coloured_noise(spec: FeatureSpec, seconds: float, seed: int, count: int = N_MADE) -> Tensor:
    """Makes noises of many colours whose level sways, as fans, streets and rooms do.

    Args:
        spec: features.
        seconds: length of each, in s.
        seed: of the noises.
        count: N.

    Returns:
        [N, F, T] mel power.
    """
    draw = numpy_generator(seed, "coloured noise")
    size = spec.samples(seconds)
    frequency_hz = np.fft.rfftfreq(size, 1 / spec.sample_rate_hz)
    slope = draw.uniform(-1.2, 0.3, (count, 1))  # of the amplitude over frequency: -1 is brown, 0 is white
    centre_hz = draw.uniform(100, spec.f_max_hz, (count, 1))
    amplitude = np.maximum(frequency_hz, 30.0) ** slope
    amplitude *= 1 + 4 * np.exp(-(((frequency_hz - centre_hz) / 300) ** 2)) * (draw.random((count, 1)) < 0.4)
    phases = draw.normal(size=(count, len(frequency_hz), 2))
    waves = np.fft.irfft(amplitude * (phases[..., 0] + 1j * phases[..., 1]), size)
    sway_hz = draw.uniform(0.3, 6.0, (count, 1))
    time_s = np.arange(size) / spec.sample_rate_hz
    depth = draw.uniform(0, 0.9, (count, 1))
    waves *= 1 + depth * np.sin(2 * np.pi * (sway_hz * time_s + draw.random((count, 1))))
    waves *= 0.05 / np.sqrt(np.mean(waves**2, axis=1, keepdims=True))
    return mel_power(torch.from_numpy(waves.astype(np.float32)), spec)


def babble(power: Tensor, count: int, generator: torch.Generator, voices: int = 4) -> Tensor:
    """Mixes clips of a batch into babble.

    Args:
        power: [B, F, T] mel power.
        count: N, how many mixtures.
        generator: draws who talks.
        voices: how many talk at once.

    Returns:
        [N, F, T] mel power.
    """
    rows = torch.randint(len(power), (voices, count), generator=generator).to(power.device)
    mixed = power[rows[0]]
    for more in rows[1:]:
        mixed += power[more]
    return mixed


def draw_noise(
    count: int, power: Tensor, pool: Tensor, n_frames: int, generator: torch.Generator, babble_share: float
) -> Tensor:
    """Draws noises for clips of a batch.

    Args:
        count: K, how many.
        power: [B, F, T'] the batch itself, for babble.
        pool: [N, F, T] recorded and made noises.
        n_frames: T.
        generator: draws everything.
        babble_share: share of babble among them.

    Returns:
        [K, F, T] mel power.
    """
    rows = torch.randint(len(pool), (count,), generator=generator).to(pool.device)
    noise = pool.index_select(0, rows).to(power.device)
    talks = torch.nonzero(torch.rand(count, generator=generator) < babble_share)[:, 0]
    if len(talks) and len(power) > 1:
        first = (power.shape[2] - n_frames) // 2
        noise[talks] = babble(power[:, :, first : first + n_frames], len(talks), generator)
    return noise
