"""Google Speech Commands, versions 1 and 2: one-second English words by many speakers.

The splits are the official lists, which keep speakers apart. With 12 labels the task is the one of
the paper (Warden 2018, section 7): ten keywords, `_unknown_` for the other words and `_silence_` cut
from the recordings of noise, each about a tenth of the keyword clips of a split. Upstream draws
those two at random in every run; here they are chosen by hash, so that every run sees the same.
The noise itself is `_background_`. Noise files are cut in time, 80 % train, 10 % val, 10 % test, so
that no noise is in two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kwsctl.audio import files
from kwsctl.data.sources import Source
from kwsctl.errors import SourceError
from kwsctl.types import BACKGROUND, SILENCE, SPLITS, UNKNOWN, Clip

from ._layout import audio_files, find_folder, folders

LICENCE = "CC BY 4.0"
CITATION = (
    "P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209, 2018"
)
SUMMARY = "English words, 1 s, 2,618 speakers: 12 labels or all 35 (Google, v1 or v2)"
SOURCES = (
    Source(
        url="http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
        sha256="743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        licence=LICENCE,
        citation=CITATION,
        bytes=1_489_096_277,
    ),
    Source(
        url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        licence=LICENCE,
        citation=CITATION,
        bytes=2_428_923_189,
    ),
)
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

_NOISE = "_background_noise_"
_PARTS = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}  # of each noise file


@dataclass(frozen=True)
class Options:
    """Which version and which task.

    Attributes:
        version: 1 (30 words, 2017) or 2 (35 words, 2018).
        labels: 12 for the task of the paper, 35 for every word of the version as a label.
        unknown_share: clips of `_unknown_` per clip of a keyword, with 12 labels.
        silence_share: clips of `_silence_` per clip of a keyword, with 12 labels.
    """

    version: Literal[1, 2] = 2
    labels: Literal[12, 35] = 12
    unknown_share: float = 0.1
    silence_share: float = 0.1


DEFAULTS = Options()


def sources(options: Options) -> tuple[Source, ...]:
    """Names the archive of the version."""
    return (SOURCES[options.version - 1],)


def clips(root: Path, options: Options = DEFAULTS) -> Iterator[Clip]:
    """Reads `<word>/<speaker>_nohash_<n>.wav` and the two official lists.

    Args:
        root: the unpacked archive, or a folder that holds it.
        options: version and task.

    Yields:
        Words, then noise.

    Raises:
        SourceError: the lists or the words are not there.
    """
    corpus = find_folder(root, "validation_list.txt", "testing_list.txt")
    words = list(_words(corpus))
    if not words:
        raise SourceError(f"{corpus} has no words.", "Unpack the archive again.")
    if options.labels == 35:
        yield from words
    else:
        yield from _twelve(words, corpus, options)
    for path in audio_files(corpus / _NOISE):
        seconds = files.info(path).seconds
        for split, (begin, end) in _PARTS.items():
            yield Clip(
                path, BACKGROUND, None, split, round(begin * seconds, 3), _length_s(begin, end, seconds)
            )


def _words(corpus: Path) -> Iterator[Clip]:
    split_of = {
        line.strip(): split
        for split, name in (("val", "validation_list.txt"), ("test", "testing_list.txt"))
        for line in (corpus / name).read_text(encoding="utf-8").splitlines()
    }
    for folder in folders(corpus):
        if folder.name == _NOISE:
            continue
        for path in audio_files(folder):
            speaker, _, _ = path.name.partition("_nohash_")
            yield Clip(path, folder.name, speaker, split_of.get(f"{folder.name}/{path.name}", "train"))


def _twelve(words: list[Clip], corpus: Path, options: Options) -> Iterator[Clip]:
    for split in SPLITS:
        inside = [clip for clip in words if clip.split == split]
        keywords = [clip for clip in inside if clip.label in KEYWORDS]
        yield from keywords
        others = sorted((clip for clip in inside if clip.label not in KEYWORDS), key=_by_hash)
        for clip in others[: round(options.unknown_share * len(keywords))]:
            yield Clip(clip.path, UNKNOWN, clip.speaker, split)
        yield from _silence(corpus, split, round(options.silence_share * len(keywords)))


def _by_hash(clip: Clip) -> bytes:
    return hashlib.sha256(f"{clip.path.parent.name}/{clip.path.name}".encode()).digest()


def _silence(corpus: Path, split: str, count: int) -> Iterator[Clip]:
    """Cuts one-second clips from the part of the noise files that belongs to a split, evenly spaced."""
    noises = audio_files(corpus / _NOISE)
    for number, path in enumerate(noises):
        here = (count + number) // len(noises)  # the remainder goes to the last files
        begin, end = (share * files.info(path).seconds for share in _PARTS[split])
        room_s = end - begin - 1.0
        if room_s < 0:
            continue
        for k in range(here):
            yield Clip(path, SILENCE, None, split, round(begin + room_s * (k + 0.5) / here, 4), 1.0)


def _length_s(begin: float, end: float, seconds: float) -> float | None:
    return None if end == 1.0 else round((end - begin) * seconds, 3)
