"""The audio of the wake-word benchmark: what is learned from, and what all engines are tested on.

Every engine hears the same stretches of continuous audio, so that what an engine remembers of earlier audio
counts for all of them alike. Test clips stand in such a stretch with two seconds of faint noise before and
one second after each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio.folders import audio_files
from kwsctl.data import manifest
from kwsctl.data.prepare import prepared
from kwsctl.data.store import ClipStore
from kwsctl.seeding import numpy_generator
from kwsctl.types import BACKGROUND, Clip

Samples = NDArray[np.int16]
RATE_HZ = 16_000
LEAD_S, TRAIL_S = 2.0, 1.0
FLOOR = 10  # root mean square of the faint noise, int16: -70 dB of full scale
NOISE_FOLDS = {"1": "train", "2": "train", "3": "val", "4": "test", "5": "test"}
HELD_OUT_SPEAKERS = 3


@dataclass(frozen=True)
class Corpora:
    """Where the data is.

    Attributes:
        words: manifest of recorded wake words, with splits.
        others: manifest of other recorded words; its split `val` is for the test here.
        speech: manifest of recorded running speech, for the test only.
        noise: folder of noises that are named as in ESC: the fold comes first.
        synthetic: manifest of synthetic speech, with splits.
    """

    words: Path
    others: Path
    speech: Path
    noise: Path
    synthetic: Path


@dataclass(frozen=True)
class Track:
    """One stretch of continuous audio.

    Attributes:
        name: of the track.
        samples: [S] at 16 kHz.
        clips: what is in it, where that matters.
        bounds: [N + 1] where each clip's part begins, in samples.
    """

    name: str
    samples: Samples
    clips: tuple[Clip, ...] = ()
    bounds: tuple[int, ...] = ()

    @property
    def hours(self) -> float:
        """Length in hours."""
        return len(self.samples) / RATE_HZ / 3600


def training_clips(corpora: Corpora) -> Iterator[Clip]:
    """Lists what models may learn from and be chosen by, in `train` and `val`: no clip of any test track.

    The clips of one wake word, recorded or synthetic, are negatives for the others.
    """
    yield from _with_split(manifest.read(corpora.words), ("train", "val"))
    others = [clip for clip in manifest.read(corpora.others) if clip.split == "train"]
    speakers = sorted({clip.speaker for clip in others if clip.speaker})
    for clip in others:
        held_out = clip.speaker in speakers[-HELD_OUT_SPEAKERS:]
        yield dataclasses.replace(clip, split="val" if held_out else "train")
    yield from (clip for clip in _noises(corpora.noise) if clip.split != "test")
    yield from _with_split(manifest.read(corpora.synthetic), ("train", "val"))


def dev_tracks(corpora: Corpora, home: Path) -> list[Track]:
    """Gives tracks to try options on: from the clips that models are chosen by, none of the test."""
    others = [clip for clip in manifest.read(corpora.others) if clip.split == "train"]
    speakers = sorted({clip.speaker for clip in others if clip.speaker})[-HELD_OUT_SPEAKERS:]
    words = [dataclasses.replace(clip, split="val") for clip in others if clip.speaker in speakers]
    return _tracks(corpora, home, "val", words)


def test_tracks(corpora: Corpora, home: Path) -> list[Track]:
    """Gives the tracks of the benchmark, those of the wake words' clips first."""
    others = [clip for clip in manifest.read(corpora.others) if clip.split == "val"]
    tracks = _tracks(corpora, home, "test", others)
    return [*tracks, _joined("LibriSpeech", _store(corpora.speech, home))]


def _tracks(corpora: Corpora, home: Path, split: str, others: Sequence[Clip]) -> list[Track]:
    words = _store(corpora.words, home)
    labels = sorted({clip.label for clip in words.clips})
    tracks = [_spaced(f"clips {label}", words, words.where(split=split, labels=(label,))) for label in labels]
    noise = [clip for clip in _noises(corpora.noise) if clip.split == split]
    made = [c for c in manifest.read(corpora.synthetic) if c.split == split and c.label == BACKGROUND]
    return [
        *tracks,
        _joined("other words", _listed("others", others, home, split)),
        _joined("recorded noise", _listed("noise", noise, home, split)),
        _joined("synthetic speech", _listed("speech", [c for c in made if c.speaker], home, split)),
        _joined("synthetic noise", _listed("made-noise", [c for c in made if not c.speaker], home, split)),
    ]


def _with_split(clips: Sequence[Clip], splits: Sequence[str]) -> Iterator[Clip]:
    return (clip for clip in clips if clip.split in splits)


def _noises(folder: Path) -> Iterator[Clip]:
    """Splits noises by their publisher's folds: what is cut from one recording is in one fold."""
    for path in audio_files(folder):
        yield Clip(path, BACKGROUND, split=NOISE_FOLDS[path.name.partition("-")[0]])


def _store(path: Path, home: Path) -> ClipStore:
    store = prepared(path, home)
    assert not store.rejected, store.rejected[0]
    return store


def _listed(name: str, clips: Sequence[Clip], home: Path, split: str) -> ClipStore:
    path = home / "data" / f"bench-{name}-{split}" / "manifest.csv"
    manifest.write(path, clips)
    return _store(path, home)


def _joined(name: str, store: ClipStore) -> Track:
    return Track(name, np.array(store.samples))


def _spaced(name: str, store: ClipStore, indices: NDArray[np.int64]) -> Track:
    generator = numpy_generator(0, "bench", name)
    pieces: list[Samples] = []
    bounds = [0]
    for index in indices:
        lead, trail = (generator.normal(0, FLOOR, round(s * RATE_HZ)) for s in (LEAD_S, TRAIL_S))
        pieces += [lead.astype(np.int16), store.audio(int(index)), trail.astype(np.int16)]
        bounds.append(sum(map(len, pieces[-3:])) + bounds[-1])
    clips = tuple(store.clips[int(index)] for index in indices)
    return Track(name, np.concatenate(pieces), clips, tuple(bounds))
