"""Your own recordings, in one of three layouts that are told apart by themselves.

    <label>/<speaker>_*.wav      the speaker is what stands before the first underscore
    <speaker>/<label>/*.wav      one folder per person
    manifest.csv                 wins over the folders, and brings its own splits

In the first layout a file without an underscore has no known speaker. Beside these folders there may
be `_background_` and `_silence_`, which have no speakers; `_unknown_` is a label like others. Each
speaker goes to one split, chosen by hash; files without a speaker are shared out one by one, and
then nobody can know whether splits share speakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kwsctl.data import manifest
from kwsctl.data.sources import Source
from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import SourceError
from kwsctl.types import BACKGROUND, SILENCE, Clip

from ._layout import audio_files, audio_files_below, folders

LICENCE = "yours"
CITATION = "none"
SUMMARY = "Your own recordings: <label>/<speaker>_*.wav, <speaker>/<label>/*.wav or manifest.csv"
SOURCES: tuple[Source, ...] = ()
ASK = "It reads recordings that you have: name their folder with --root."

_NOISES = (BACKGROUND, SILENCE)


@dataclass(frozen=True)
class Options:
    """How to read the folders and share out the speakers.

    Attributes:
        layout: `label` for `<label>/<speaker>_*.wav`, `speaker` for `<speaker>/<label>/*.wav`.
        val_share: of the speakers, for `val`.
        test_share: of the speakers, for `test`.
    """

    layout: Literal["auto", "label", "speaker"] = "auto"
    val_share: float = 0.1
    test_share: float = 0.1


DEFAULTS = Options()


def clips(root: Path, options: Options = DEFAULTS) -> Iterator[Clip]:
    """Reads a folder of recordings.

    Args:
        root: the folder.
        options: layout and shares.

    Yields:
        Clips by folder and file name.

    Raises:
        SourceError: there is no audio in either layout, or in both.
    """
    if (root / "manifest.csv").is_file():
        yield from manifest.read(root / "manifest.csv")
        return
    noises = [clip for name in _NOISES for clip in _noise(root / name)]
    named = [folder for folder in folders(root) if folder.name not in _NOISES]
    by_label = [clip for folder in named for clip in _in_label(folder)]
    by_speaker = [clip for folder in named for clip in _in_speaker(folder)]
    if options.layout == "label" or (options.layout == "auto" and not by_speaker):
        found = by_label
    elif options.layout == "speaker" or not by_label:
        found = by_speaker
    else:
        raise SourceError(
            f"{root} has audio both as {_shown(by_label)} and as {_shown(by_speaker)}.",
            "Move one of them away, or say which to read with --set layout=label or layout=speaker.",
        )
    if not found:
        raise SourceError(
            f"{root} holds no <label>/<speaker>_*.wav, no <speaker>/<label>/*.wav and no manifest.csv.",
            "Sort the recordings into folders, one for each label.",
        )
    yield from split_by_speaker(found + noises, val_share=options.val_share, test_share=options.test_share)


def _noise(folder: Path) -> Iterator[Clip]:
    for path in audio_files_below(folder):
        yield Clip(path, folder.name)


def _in_label(folder: Path) -> Iterator[Clip]:
    for path in audio_files(folder):
        speaker, underscore, _ = path.name.partition("_")
        yield Clip(path, folder.name, speaker if underscore and speaker else None)


def _in_speaker(folder: Path) -> Iterator[Clip]:
    for label in folders(folder):
        for path in audio_files(label):
            yield Clip(path, label.name, folder.name)


def _shown(found: list[Clip]) -> str:
    return repr("/".join(found[0].path.parts[-3:]))
