"""Decides what is learned from a clip store: labels, windows, and who is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kwsctl.bundle import Task
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import Windows, cut, usual_length_s
from kwsctl.errors import InputError
from kwsctl.learning.encoder import windows_of_words
from kwsctl.registry import did_you_mean
from kwsctl.types import BACKGROUND, RESERVED_LABELS, SILENCE, UNKNOWN

HELD_OUT_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learned.

    Attributes:
        task: `keywords` or `wake`; `encode` for an encoder of words, whose targets are words and not labels.
        labels: the outputs of the model; an encoder has none.
        keywords: those of them that are words to detect.
        clip_s: length of a window, in s.
        train: windows to learn from.
        val: windows of held-out speakers.
        background: rows of `train` that hold no word, to be mixed in as noise.
        speakers: who is in `train`.
        held_out: how `val` was chosen, in words.
    """

    task: Task | Literal["encode"]
    labels: tuple[str, ...]
    keywords: tuple[str, ...]
    clip_s: float
    train: Windows
    val: Windows
    background: NDArray[np.int64]
    speakers: tuple[str, ...]
    held_out: str


def pose(
    store: ClipStore,
    *,
    task: Literal["auto", "keywords", "wake", "encode"] = "auto",
    keywords: Sequence[str] = (),
    clip_s: float | None = None,
    exclude_speakers: Sequence[str] = (),
) -> Problem:
    """Decides what to learn from a store.

    Args:
        store: clips with labels and splits.
        task: `auto` is `wake` for a single keyword, else `keywords`.
        keywords: labels to detect, every other word then is unknown; by default all but the reserved.
        clip_s: length of a window, in s; by default what nearly all keywords need.
        exclude_speakers: who must not be learned from, in no split.

    Returns:
        Labels, windows and held-out speakers.

    Raises:
        InputError: no training clips, or no clips of a keyword.
    """
    kept = _without(store, exclude_speakers)
    train, val, held_out = _split(store, kept)
    if task == "encode":
        return _encode(store, train, val, held_out, clip_s)
    words = _keywords(store, train, keywords)
    chosen: Task = ("wake" if len(words) == 1 else "keywords") if task == "auto" else task
    labels = words if chosen == "wake" else words + _classes_of_others(store, train, words)
    target_of = _targets(store, labels, words, chosen)
    is_keyword = np.array([store.clips[i].label in words for i in train])
    length_s = usual_length_s(store, train[is_keyword]) if clip_s is None else clip_s
    speakers = {store.clips[i].speaker for i in train}
    windows = cut(store, train, target_of, frozenset(words), length_s)
    is_background = [store.clips[i].label in (BACKGROUND, SILENCE) for i in windows.clip]
    return Problem(
        task=chosen,
        labels=labels,
        keywords=words,
        clip_s=length_s,
        train=windows,
        val=cut(store, val, target_of, frozenset(words), length_s),
        background=np.flatnonzero(is_background),
        speakers=tuple(sorted(s for s in speakers if s is not None)),
        held_out=held_out,
    )


def _encode(
    store: ClipStore, train: NDArray[np.int64], val: NDArray[np.int64], held_out: str, clip_s: float | None
) -> Problem:
    windows, held_out_windows, length_s = windows_of_words(store, train, val, clip_s)
    speakers = {store.clips[i].speaker for i in windows.clip}
    return Problem(
        task="encode",
        labels=(),
        keywords=(),
        clip_s=length_s,
        train=windows,
        val=held_out_windows,
        background=np.flatnonzero([store.clips[i].label in (BACKGROUND, SILENCE) for i in windows.clip]),
        speakers=tuple(sorted(s for s in speakers if s is not None)),
        held_out=held_out,
    )


def _without(store: ClipStore, speakers: Sequence[str]) -> NDArray[np.int64]:
    known = {clip.speaker for clip in store.clips}
    for name in speakers:
        if name not in known:
            raise InputError(f"No clip is by the excluded speaker {name!r}.", "Check the manifest.")
    return np.array([i for i, c in enumerate(store.clips) if c.speaker not in speakers or not c.speaker])


def _split(store: ClipStore, kept: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Takes the `val` split; without one, holds out some of the training speakers."""
    split = np.array([store.clips[i].split for i in kept])
    train, val = kept[split == "train"], kept[split == "val"]
    if not len(train):
        raise InputError("No clip is in the split 'train'.", "Give the manifest a split column.")
    if len(val):
        return train, val, "the manifest's split 'val'"
    # Clips without a speaker are held out one by one.
    names = np.array([store.clips[i].speaker or str(store.clips[i].path) for i in train])
    held_out = np.array([_unit_hash(name) < HELD_OUT_SHARE for name in names])
    if held_out.all() or not held_out.any():
        nearest = min(set(names), key=_unit_hash)
        held_out = names == nearest
    return train[~held_out], train[held_out], f"{len(set(names[held_out]))} speakers of the split 'train'"


def _unit_hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def _keywords(store: ClipStore, train: NDArray[np.int64], wanted: Sequence[str]) -> tuple[str, ...]:
    present = {store.clips[i].label for i in train} - set(RESERVED_LABELS)
    for word in wanted:
        if word not in present:
            hint = f"{did_you_mean(word, sorted(present))}The data has {', '.join(sorted(present)[:12])}."
            raise InputError(f"No training clip has the label {word!r}.", hint)
    words = tuple(sorted(wanted or present))
    if not words:
        raise InputError("No training clip has a keyword as its label.", "Label some clips with a word.")
    return words


def _classes_of_others(store: ClipStore, train: NDArray[np.int64], words: tuple[str, ...]) -> tuple[str, ...]:
    others = {store.clips[i].label for i in train} - set(words)
    unknown = (UNKNOWN,) if others - {BACKGROUND, SILENCE} else ()
    return unknown + ((SILENCE,) if others & {BACKGROUND, SILENCE} else ())


def _targets(store: ClipStore, labels: tuple[str, ...], words: tuple[str, ...], task: Task) -> dict[str, int]:
    """Maps every label of the store to an output; for a wake word, all others stay away (-1)."""
    target_of = {word: labels.index(word) for word in words}
    if task == "keywords":
        for label in {clip.label for clip in store.clips} - set(words):
            stands_for = SILENCE if label in (BACKGROUND, SILENCE) else UNKNOWN
            if stands_for in labels:
                target_of[label] = labels.index(stands_for)
    return target_of
