"""Keeps decoded clips in one memory-mapped int16 file, so that training never decodes audio twice.

A store is a folder with `index.json` and one `audio-<identity>.i16`: mono samples, little-endian, all
clips end to end. The identity is a hash over path, size, time of change, start and duration of every
clip and the sample rate; the same clips are therefore never decoded again, and a changed list is.
`index.json` is written last and names its audio file: before that moment the old store is whole,
after it the new one. A sample stands for `sample / FULL_SCALE`, in [-1, 1).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl import storage
from kwsctl.data.decoding import FULL_SCALE, Decoded, decode_all
from kwsctl.errors import InputError
from kwsctl.progress import Progress, silent
from kwsctl.types import Clip

__all__ = ["FULL_SCALE", "ClipStore", "Rejection", "open_store", "prepare"]

_FORMAT = 1
_INDEX = "index.json"

NO_SPLIT = ""
"""Split of clips that must not be used."""


@dataclass(frozen=True)
class Rejection:
    """A clip that is not in the store.

    Attributes:
        path: the audio file.
        reason: why it was rejected, in one sentence.
    """

    path: Path
    reason: str


@dataclass(frozen=True, eq=False)
class ClipStore:
    """Decoded clips, read from disk when they are touched.

    Attributes:
        clips: N clips, each with the sha256 of its file.
        rejected: what was in the list but could not be used.
        rate_hz: of the samples.
        samples: int16 [S], all clips end to end.
        offsets: [N + 1] where each clip begins; the last one is S.
        folder: where the store lies.
    """

    clips: tuple[Clip, ...]
    rejected: tuple[Rejection, ...]
    rate_hz: int
    samples: NDArray[np.int16]
    offsets: NDArray[np.int64]
    folder: Path

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def seconds(self) -> float:
        """How much audio there is, in s."""
        return float(self.offsets[-1]) / self.rate_hz

    def audio(self, index: int) -> NDArray[np.int16]:
        """Gives one clip as a view, int16 [S]; divide by `FULL_SCALE` for samples in [-1, 1)."""
        return self.samples[self.offsets[index] : self.offsets[index + 1]]

    def where(
        self,
        *,
        split: str | None = None,
        labels: Collection[str] | None = None,
        speakers: Collection[str | None] | None = None,
    ) -> NDArray[np.int64]:
        """Finds clips.

        Args:
            split: only of this split.
            labels: only with one of these labels.
            speakers: only of these speakers.

        Returns:
            Ascending indices into `clips`.
        """
        found = (
            index
            for index, clip in enumerate(self.clips)
            if (split is None or clip.split == split)
            and (labels is None or clip.label in labels)
            and (speakers is None or clip.speaker in speakers)
        )
        return np.fromiter(found, dtype=np.int64)

    def without(self, sha256: Collection[str]) -> tuple[ClipStore, int]:
        """Takes recordings out of every split, such as those that a person enrolled with.

        Args:
            sha256: of their files.

        Returns:
            The store, in which they are in no split, and how many clips these are.
        """
        clips = tuple(
            dataclasses.replace(clip, split=NO_SPLIT) if clip.sha256 in sha256 else clip
            for clip in self.clips
        )
        n = sum(clip.split == NO_SPLIT for clip in clips)
        return dataclasses.replace(self, clips=clips), n


def prepare(
    clips: Sequence[Clip], folder: Path, *, rate_hz: int = 16_000, progress: Progress = silent
) -> ClipStore:
    """Decodes every clip once, or opens the store if that was done before.

    A killed call is continued by the next one with the same clips; a second process waits.

    Args:
        clips: what to keep, in this order.
        folder: where the store lies or will lie.
        rate_hz: sample rate of the store.
        progress: called with the clips done, and `rejected` and `hours` so far.

    Returns:
        The store; clips that could not be decoded are in `rejected`, with the reason.

    Raises:
        InputError: there is no clip, or none can be used.
    """
    if not clips:
        raise InputError("There are no clips to prepare.", "Check the manifest.")
    identity = _identity(clips, rate_hz)
    with _locked(folder):
        index = _read_index(folder)
        if index is None or index["identity"] != identity:
            rows = _build(clips, folder, identity, rate_hz=rate_hz, progress=progress)
            index = {"format": _FORMAT, "identity": identity, "rate_hz": rate_hz, "rows": rows}
        described = [[str(c.path), c.label, c.speaker, c.split, c.start_s, c.duration_s] for c in clips]
        if index.get("clips") != described:  # new, or a label, speaker or split has changed
            index["clips"] = described
            storage.write_text(folder / _INDEX, json.dumps(index, separators=(",", ":")))
        _remove_other_builds(folder, identity)
    return open_store(folder)


def open_store(folder: Path) -> ClipStore:
    """Opens a prepared store without decoding anything.

    Args:
        folder: as given to `prepare`.

    Returns:
        The store.

    Raises:
        InputError: there is no store, or it is damaged or of another version.
    """
    index = _read_index(folder)
    if index is None:
        raise InputError(f"There is no whole clip store in {folder}.", "Prepare the data again.")
    clips: list[Clip] = []
    rejected: list[Rejection] = []
    lengths: list[int] = []
    for described, (length, sha256, reason) in zip(index["clips"], index["rows"], strict=True):
        path, label, speaker, split, start_s, duration_s = described
        if reason is not None:
            rejected.append(Rejection(Path(path), reason))
        else:
            clips.append(Clip(Path(path), label, speaker, split, start_s, duration_s, sha256))
            lengths.append(length)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    audio = _audio(folder, index["identity"])
    samples = np.memmap(audio, dtype="<i2", mode="r", shape=(int(offsets[-1]),))
    return ClipStore(tuple(clips), tuple(rejected), index["rate_hz"], samples, offsets, folder)


def _build(
    clips: Sequence[Clip], folder: Path, identity: str, *, rate_hz: int, progress: Progress
) -> list[list[Any]]:
    audio, journal = _audio(folder, identity), _journal(folder, identity)
    rows = decode_all(clips, audio, journal, rate_hz=rate_hz, progress=progress)
    if all(row.reason is not None for row in rows):
        audio.unlink()
        journal.unlink()
        raise InputError(
            f"None of the {len(rows)} clips can be used. The first: {rows[0].reason}",
            "Check that the manifest lies beside its audio files.",
        )
    return [_as_list(row) for row in rows]


def _as_list(row: Decoded) -> list[Any]:
    return list(astuple(row))


def _identity(clips: Sequence[Clip], rate_hz: int) -> str:
    """Hashes what decides the samples. A missing file counts as size -1, so that adding it is a change."""
    digest = hashlib.sha256(f"{_FORMAT} {rate_hz}\n".encode())

    @functools.cache
    def state(path: Path) -> tuple[int, int]:
        try:
            found = path.stat()
        except OSError:
            return -1, 0
        return found.st_size, found.st_mtime_ns

    for clip in clips:
        key = (str(clip.path.absolute()), *state(clip.path), clip.start_s, clip.duration_s)
        digest.update(repr(key).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _read_index(folder: Path) -> dict[str, Any] | None:
    """Reads the index; None if it is missing or damaged, or its audio file is not as long as it says."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        samples = sum(row[0] for row in index["rows"])
        whole = index["format"] == _FORMAT and len(index["rows"]) == len(index["clips"])
        if whole and _audio(folder, index["identity"]).stat().st_size == samples * 2:
            return dict(index)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        pass
    return None


def _audio(folder: Path, identity: str) -> Path:
    return folder / f"audio-{identity[:16]}.i16"


def _journal(folder: Path, identity: str) -> Path:
    return folder / f"journal-{identity[:16]}.jsonl"


def _remove_other_builds(folder: Path, identity: str) -> None:
    """Deletes what older lists and killed calls left, once the index names the new audio."""
    keep = _audio(folder, identity)
    for pattern in ("audio-*.i16", "journal-*.jsonl", f".{_INDEX}.*.part"):
        for path in folder.glob(pattern):
            if path != keep:
                path.unlink()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time build in a folder; the system drops the lock of a killed one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
