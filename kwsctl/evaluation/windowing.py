"""Feeds a network the overlapping windows of clips and of continuous audio.

Features are computed once per stretch of audio; the windows are views of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl.bundle import Bundle
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.errors import BundleError, InputError
from kwsctl.evaluation.streams import ScoreStream
from kwsctl.features.logmel import logmel
from kwsctl.progress import Progress

Audio = NDArray[np.float32] | NDArray[np.int16]


class Scorer:
    """A bundle's network, ready to score windows of `size` samples every `hop` samples.

    Args:
        bundle: the model.
        model: the bundle's network, where it is already built.
        hop_s: from window to window, in s; a multiple of the feature hop.
        batch_size: windows that the network sees at once.

    Raises:
        InputError: `hop_s` is no multiple of the feature hop.
    """

    def __init__(self, bundle: Bundle, model: nn.Module | None, *, hop_s: float, batch_size: int) -> None:
        self.bundle = bundle
        self.hop_frames = _hop_frames(bundle, hop_s)
        self.hop_s = hop_s
        self.hop = self.hop_frames * bundle.features.hop_samples
        self.size = bundle.features.samples(bundle.clip_s)
        self.batch_size = batch_size
        self.model = bundle.model() if model is None else model
        self.device = next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def windows_in(self, n_samples: int) -> int:
        """Counts the whole windows in a stretch of audio.

        Args:
            n_samples: its length.

        Returns:
            Their number.
        """
        return max(0, 1 + (n_samples - self.size) // self.hop)

    @torch.inference_mode()
    def windows(self, waves: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores all windows of waves.

        Args:
            waves: [B, S] in [-1, 1], at least one window long.

        Returns:
            [B, W, L] probabilities.

        Raises:
            BundleError: a score is not a finite number.
        """
        features = logmel(torch.from_numpy(waves).to(self.device), self.bundle.features)
        views = features.unfold(2, self.bundle.n_frames, self.hop_frames)  # [B, F, W, T]
        n_waves, n_windows = views.shape[0], views.shape[2]
        parts: list[Tensor] = []
        for first in range(0, n_windows, self.batch_size):
            part = views[:, :, first : first + self.batch_size].transpose(1, 2)
            logits = self.model(part.flatten(0, 1).contiguous())
            parts.append(self.bundle.probabilities(logits.float()).reshape(n_waves, -1, logits.shape[1]))
        values: NDArray[np.float32] = torch.cat(parts, dim=1).cpu().numpy()
        if not np.isfinite(values).all():
            raise BundleError(
                f"The model gives scores that are not finite in {n_waves * n_windows} windows.",
                "Its weights are damaged or training diverged: train it again.",
            )
        return values

    def clips(
        self,
        store: ClipStore,
        indices: NDArray[np.int64] | Sequence[int],
        *,
        context_s: float,
        progress: Progress,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Scores clips, those of like length together.

        Args:
            store: the clips.
            indices: N of them.
            context_s: silence put before and after each clip, in s.
            progress: called with the clips done.

        Yields:
            B rows into `indices`, and the [B, W, L] of these clips.

        Raises:
            InputError: the store's sample rate is not the model's.
        """
        if store.rate_hz != self.bundle.features.sample_rate_hz:
            raise InputError(
                f"The clips are at {store.rate_hz} Hz, "
                f"the model hears {self.bundle.features.sample_rate_hz} Hz.",
                "Prepare the data at the model's rate.",
            )
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = np.diff(store.offsets)[chosen] + 2 * self.bundle.features.samples(context_s)
        n_hops = np.maximum(0, -(-(lengths - self.size) // self.hop))
        done = 0
        for hops in np.unique(n_hops):
            alike = np.flatnonzero(n_hops == hops)
            per_batch = max(1, self.batch_size // (int(hops) + 1))
            for rows in np.split(alike, np.arange(per_batch, len(alike), per_batch)):
                waves = np.zeros((len(rows), self.size + int(hops) * self.hop), dtype=np.float32)
                for wave, index in zip(waves, chosen[rows], strict=True):
                    audio = store.audio(int(index))
                    left = -((len(audio) - len(wave)) // 2)  # the same side as in training
                    wave[left : left + len(audio)] = as_float(audio)
                done += len(rows)
                yield rows, self.windows(waves)
                progress(done, len(chosen))

    def stream(self, values: NDArray[np.float32], n_samples: int | None = None) -> ScoreStream:
        """Puts times to scores.

        Args:
            values: [W, L], all windows of a stretch of audio.
            n_samples: length of the audio; by default until the end of the last window.

        Returns:
            The scores with the end of each window.
        """
        rate_hz = self.bundle.features.sample_rate_hz
        ends = self.size + self.hop * np.arange(len(values))
        heard = int(ends[-1]) if n_samples is None else n_samples
        times_s = np.minimum(ends, heard) / rate_hz
        return ScoreStream(self.bundle.labels, values, times_s, self.hop_s, heard / rate_hz)


def _hop_frames(bundle: Bundle, hop_s: float) -> int:
    frames = hop_s * 1000 / bundle.features.hop_ms
    if round(frames) < 1 or abs(frames - round(frames)) > 1e-6:
        raise InputError(
            f"A hop of {hop_s:g} s is no multiple of the feature hop, {bundle.features.hop_ms:g} ms.",
            f"Use {max(1, round(frames)) * bundle.features.hop_ms / 1000:g}.",
        )
    return round(frames)
