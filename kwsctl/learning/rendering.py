"""Turns the windows of a training set into mel power, kept on disk and mapped into memory, or on a GPU.

Audio becomes features once, and again for a share of the clips in every epoch, each time in another
room; everything else that varies is done on these features (`kwsctl.features.augmentation`). So
features cost a small part of a training step, and a corpus larger than memory trains.

What a window sounds like depends only on the seed, the window and the epoch in which it was last
rendered. A resumed run renders the same as one that was never interrupted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from kwsctl.audio import rooms
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import Windows, gather
from kwsctl.features.logmel import mel_power
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import FeatureSpec

CHUNK = 256
N_ROOMS = 64
LONGEST_ROOM_S = 1.0  # a longer tail lies beyond the window anyway
GPU_SHARE = 0.5  # of the free memory of a GPU that features may take


class Renderings:
    """Mel power of M windows in bfloat16: three digits, and the range of float32.

    What is kept is [M, T', F], because augmentation picks frames: in a file, or in the memory of a GPU that
    has room for it. The GPU also computes it.

    Args:
        store: the audio.
        windows: M windows.
        spec: features.
        margin_frames: frames kept on both sides of a window, for shifts.
        room_share: share of windows that are put into a room.
        refresh_epochs: a window is rendered anew every so many epochs; 0 for never.
        seed: of the rooms.
        room_files: folder of recorded room responses; None for made ones.
        folder: where the file of features lies while this object lives.
        device: what trains on the features.
    """

    def __init__(
        self,
        store: ClipStore,
        windows: Windows,
        spec: FeatureSpec,
        *,
        margin_frames: int = 0,
        room_share: float = 0.0,
        refresh_epochs: int = 0,
        seed: int = 0,
        room_files: Path | None = None,
        folder: Path | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.windows = windows
        self._store, self._spec, self._seed = store, spec, seed
        self._margin = margin_frames * spec.hop_samples
        self._room_share, self._room_files = room_share, room_files
        self._rooms: Tensor | None = None
        self._refresh = refresh_epochs if room_share > 0 else 0
        n_frames = spec.frames((windows.samples + 2 * self._margin) / spec.sample_rate_hz)
        shape = (len(windows), n_frames, spec.mel_bins)
        self._device = device if device is not None else torch.device("cpu")
        self._file: IO[bytes] | None = None
        self.power = self._space(shape, folder)
        self._rendered = np.full(len(windows), -1, dtype=np.int64)
        self._in_room = np.zeros(len(windows), dtype=bool)

    def update(self, epoch: int, progress: Progress = silent) -> None:
        """Renders what is due by this epoch.

        Args:
            epoch: 0 for the first; epochs may be skipped, as a resumed run does.
            progress: counts windows, where there are many to render.
        """
        due_epoch = self._due(epoch)
        stale = self._changed(np.flatnonzero(self._rendered != due_epoch), due_epoch)
        for first in range(0, len(stale), CHUNK):
            rows = stale[first : first + CHUNK]
            rendered = self._render(rows, due_epoch[rows])
            where = torch.from_numpy(rows).to(self.power.device)
            self.power[where] = rendered.transpose(1, 2).bfloat16().to(self.power.device)
            progress(min(first + CHUNK, len(stale)), len(stale))
        self._rendered = due_epoch

    def _changed(self, rows: np.ndarray, due_epoch: np.ndarray) -> np.ndarray:
        """Leaves out windows that were in no room and come into none: they stay as they are."""
        if not self._room_share:
            return rows
        shares = [self._draw(row, due_epoch[row]).random() for row in rows]
        in_room = np.array(shares) < self._room_share
        kept: np.ndarray = rows[in_room | self._in_room[rows] | (self._rendered[rows] < 0)]
        self._in_room[rows] = in_room
        return kept

    def _draw(self, row: int, epoch: int) -> np.random.Generator:
        """Draws whether a window is in a room, and in which."""
        return numpy_generator(self._seed, "room", int(row), int(epoch))

    def batch(self, rows: Tensor) -> Tensor:
        """Gives the mel power [B, F, T'] of some windows, float32."""
        return self.power.index_select(0, rows.to(self.power.device)).float().transpose(1, 2)

    def close(self) -> None:
        """Removes the file of features."""
        if self._file is not None:
            self._file.close()

    def _space(self, shape: tuple[int, int, int], folder: Path | None) -> Tensor:
        """Gives room for the features, on the GPU if they take no more than a part of what is free there."""
        size = int(np.prod(shape))
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            if size * torch.bfloat16.itemsize <= GPU_SHARE * free:
                return torch.empty(shape, dtype=torch.bfloat16, device=self._device)
        self._file = tempfile.NamedTemporaryFile(prefix="features-", dir=folder)  # noqa: SIM115  # owned
        flat = torch.from_file(self._file.name, shared=True, size=size, dtype=torch.bfloat16)
        return flat.view(shape)

    def _due(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Gives the epoch in which each window is last rendered, spread evenly over the windows."""
        if not self._refresh:
            return np.zeros(len(self.windows), dtype=np.int64)
        row = np.arange(len(self.windows))
        return np.maximum(0, epoch - (epoch + row) % self._refresh)

    def _render(self, rows: np.ndarray, due_epoch: np.ndarray) -> Tensor:
        waves = torch.from_numpy(gather(self._store, self.windows.take(rows), self._margin)).to(self._device)
        if self._room_share > 0:
            draws = [self._draw(row, epoch) for row, epoch in zip(rows, due_epoch, strict=True)]
            inside = np.array([draw.random() < self._room_share for draw in draws])
            if inside.any():
                responses = self._responses()
                rows_inside = np.flatnonzero(inside)
                which = [int(draws[i].integers(len(responses))) for i in rows_inside]
                chosen = torch.from_numpy(rows_inside).to(self._device)
                waves[chosen] = _in_rooms(waves[chosen], responses[which])
        return mel_power(waves, self._spec)

    def _responses(self) -> Tensor:
        """Gives the rooms [N, R]: the recorded ones, or half image sources and half decaying noise."""
        if self._rooms is None:
            rate_hz = self._spec.sample_rate_hz
            if self._room_files is not None:
                made = [
                    r[: round(LONGEST_ROOM_S * rate_hz)]
                    for r in rooms.read_responses(self._room_files, rate_hz)
                ]
            else:
                draw = numpy_generator(self._seed, "rooms")
                made = [rooms.shoebox_response(draw, rate_hz) for _ in range(N_ROOMS // 2)]
                rt60_s = draw.uniform(0.1, 0.6, N_ROOMS // 2)
                made += [rooms.exponential_response(draw, rate_hz, float(s)) for s in rt60_s]
            longest = max(map(len, made))
            padded = np.stack([np.pad(m, (0, longest - len(m))) for m in made])
            self._rooms = torch.from_numpy(padded).to(self._device)
        return self._rooms


def _in_rooms(waves: Tensor, responses: Tensor) -> Tensor:
    """Convolves [B, S] with [B, R], keeping length and the level of each clip."""
    size = waves.shape[1] + responses.shape[1] - 1
    n_fft = 1 << (size - 1).bit_length()
    wet = torch.fft.irfft(torch.fft.rfft(waves, n_fft) * torch.fft.rfft(responses, n_fft), n_fft)
    wet = wet[:, : waves.shape[1]]
    level = waves.square().mean(1, keepdim=True) / wet.square().mean(1, keepdim=True).clamp_min(1e-12)
    levelled: Tensor = wet * level.sqrt()
    return levelled
