"""Log-mel energies of a batch of clips, the same numbers as librosa's and as the streaming form.

Frames are never padded (`center=False`), so that frame t needs the samples
`[t * hop, t * hop + window)` and nothing else. The mel scale is HTK's without area normalization,
as in the training code of BC-ResNet (Kim et al. 2021, arXiv 2106.04140).
"""

from __future__ import annotations

import functools
import warnings

import torch
from torch import Tensor

from kwsctl.audio.torchaudio_guard import torchaudio
from kwsctl.errors import InputError
from kwsctl.types import POWER_FLOOR as POWER_FLOOR
from kwsctl.types import FeatureSpec

_FRAMES_AT_ONCE_CPU = 1_024  # the spectra then stay in the cache: 2 MB
_FRAMES_AT_ONCE = 2**18  # 0.5 GB on an accelerator


@torch.no_grad()
def mel_power(waves: Tensor, spec: FeatureSpec) -> Tensor:
    """Measures the power in each mel band and frame.

    Args:
        waves: [B, S] floating-point samples in [-1, 1] at `spec.sample_rate_hz`.
        spec: window, hop and mel bands.

    Returns:
        [B, F, T] float32, never negative, with T = `spec.frames(S / rate)`; no gradient flows back.

    Raises:
        InputError: integer samples, another shape, an odd window, or mel bands that hold no DFT bin.
    """
    if waves.ndim != 2 or not waves.is_floating_point():
        raise InputError(
            f"Features need floating-point waves of shape [B, S], not {waves.dtype} {tuple(waves.shape)}.",
            "Divide int16 samples by 32768.",
        )
    if waves.shape[1] < spec.window_samples:
        return waves.new_zeros((waves.shape[0], spec.mel_bins, 0), dtype=torch.float32)
    window, bands = window_and_bands(spec, waves.device)
    frames = waves.float().unfold(1, spec.window_samples, spec.hop_samples)
    n_clips, n_frames, _ = frames.shape
    power = frames.new_empty((n_clips, spec.mel_bins, n_frames))
    at_once = _FRAMES_AT_ONCE_CPU if waves.device.type == "cpu" else _FRAMES_AT_ONCE
    clips_at_once = max(1, at_once // n_frames)
    with torch.autocast(waves.device.type, enabled=False):
        for clip in range(0, n_clips, clips_at_once):
            for frame in range(0, n_frames, at_once):
                here = slice(clip, clip + clips_at_once), slice(frame, frame + at_once)
                power[here[0], :, here[1]] = _band_power(frames[here], window, bands).transpose(1, 2)
    return power


@torch.no_grad()
def compress(power: Tensor) -> Tensor:
    """Takes the logarithm of mel power; digital silence becomes log(POWER_FLOOR) = -13.8.

    Args:
        power: [B, F, T] from `mel_power`.

    Returns:
        [B, F, T] natural logarithm.
    """
    return (power + POWER_FLOOR).log_()


def logmel(waves: Tensor, spec: FeatureSpec) -> Tensor:
    """Computes the features that every model sees.

    Args:
        waves: [B, S] floating-point samples in [-1, 1] at `spec.sample_rate_hz`.
        spec: window, hop and mel bands.

    Returns:
        [B, F, T] float32, see `mel_power` and `compress`.
    """
    return compress(mel_power(waves, spec))


def _band_power(frames: Tensor, window: Tensor, bands: Tensor) -> Tensor:
    """Sums the power [B, T, F] of frames [B, T, window] in each mel band."""
    # In double precision, because in single the rounding errors of a loud tone reach quiet bands, up to 3e-3
    # in the logarithm, and every library and device rounds in its own way.
    spectrum = torch.view_as_real(torch.fft.rfft((frames * window).double())).flatten(-2)
    # Real and imaginary parts stay interleaved, and `bands` has each row twice: their sum of squares
    # then is part of the matrix product, which is faster than adding strided halves.
    return spectrum.square_().float() @ bands


@functools.lru_cache(maxsize=16)
def window_and_bands(spec: FeatureSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Makes the Hann window [window] and the mel filters [2 * (window // 2 + 1), F], each row twice."""
    if spec.window_samples % 2:  # torchaudio places the bins of odd windows wrongly
        raise InputError(
            f"A window of {spec.window_ms:g} ms has {spec.window_samples} samples, an odd number.",
            f"Use window_ms = {(spec.window_samples + 1) * 1000 / spec.sample_rate_hz:g}.",
        )
    n_bins = spec.window_samples // 2 + 1
    window = torch.hann_window(spec.window_samples, periodic=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty bands: an error below
        bands = torchaudio.functional.melscale_fbanks(
            n_bins,
            spec.f_min_hz,
            spec.f_max_hz,
            spec.mel_bins,
            spec.sample_rate_hz,
            norm=None,
            mel_scale="htk",
        )
    empty = int((bands.amax(dim=0) == 0).sum())
    if empty:
        raise InputError(
            f"{empty} of {spec.mel_bins} mel bands hold no bin of a {spec.window_ms:g} ms window.",
            "Use fewer mel_bins, a longer window_ms or a higher f_min_hz.",
        )
    return window.to(device), bands.repeat_interleave(2, dim=0).to(device)
