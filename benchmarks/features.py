"""What log-mel features cost per one-second clip, beside the usual ways to compute them, in one run.

    python benchmarks/features.py [--threads 1]

CPU milliseconds are the least of several passes over 100 clips; "times" is against `kwsctl`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from kwsctl.audio.torchaudio_guard import torchaudio
from kwsctl.features.logmel import POWER_FLOOR, logmel
from kwsctl.features.streaming import StreamingLogMel
from kwsctl.types import FeatureSpec

CLIPS = 100
SPEC = FeatureSpec()


def cpu_ms_per_clip(compute: Callable[[], object], passes: int = 20) -> float:
    """Measures the least CPU time of several passes, in ms per clip."""
    compute()
    spent = []
    for _ in range(passes):
        start = time.process_time()
        compute()
        spent.append(time.process_time() - start)
    return min(spent) * 1000 / CLIPS


def through_torchaudio(waves: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Computes the features of clips [B, S] with torchaudio's own transform."""
    transform = torchaudio.transforms.MelSpectrogram(
        SPEC.sample_rate_hz,
        n_fft=SPEC.window_samples,
        hop_length=SPEC.hop_samples,
        f_min=SPEC.f_min_hz,
        f_max=SPEC.f_max_hz,
        n_mels=SPEC.mel_bins,
        center=False,
    )
    return lambda: torch.log(transform(waves) + POWER_FLOOR)


def through_librosa(waves: torch.Tensor) -> Callable[[], np.ndarray]:
    """Computes the features of clips [B, S] with librosa."""
    import librosa

    return lambda: np.log(
        librosa.feature.melspectrogram(
            y=waves.numpy(),
            sr=SPEC.sample_rate_hz,
            n_fft=SPEC.window_samples,
            hop_length=SPEC.hop_samples,
            fmin=SPEC.f_min_hz,
            fmax=SPEC.f_max_hz,
            n_mels=SPEC.mel_bins,
            center=False,
            htk=True,
            norm=None,
        )
        + POWER_FLOOR
    )


def in_pieces_of(samples: int, waves: torch.Tensor) -> Callable[[], None]:
    """Computes the features of clips [B, S] as they come in from a microphone, one clip after the other."""
    clips = waves.numpy()

    def compute() -> None:
        stream = StreamingLogMel(SPEC)
        for clip in clips:
            for at in range(0, len(clip), samples):
                stream.push(clip[at : at + samples])

    return compute


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    waves = 0.1 * torch.randn(CLIPS, SPEC.sample_rate_hz, generator=torch.Generator().manual_seed(0))
    ways = {
        "kwsctl, batch of 100": lambda: logmel(waves, SPEC),
        "torchaudio MelSpectrogram, batch of 100": through_torchaudio(waves),
        "librosa melspectrogram, batch of 100": through_librosa(waves),
        "kwsctl streaming, pieces of 100 ms": in_pieces_of(1_600, waves),
        "kwsctl streaming, pieces of 10 ms": in_pieces_of(160, waves),
    }
    reference = ways["kwsctl, batch of 100"]()
    for name in list(ways)[1:3]:
        difference = float(np.abs(np.asarray(ways[name]()) - reference.numpy()).max())
        print(f"largest difference from {name.split(',')[0]}: {difference:.1e}")
    spent = {name: cpu_ms_per_clip(compute, 20 if "batch" in name else 2) for name, compute in ways.items()}
    print(f"{'':42s} CPU ms/clip   times")
    for name, ms in spent.items():
        print(f"{name:42s} {ms:11.3f} {ms / spent['kwsctl, batch of 100']:7.1f}")


if __name__ == "__main__":
    main()
