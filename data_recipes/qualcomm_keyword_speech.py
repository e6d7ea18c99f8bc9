"""Qualcomm Keyword Speech: four wake phrases, among them "Hey Snapdragon"; access by form.

Reads `<keyword>/<speaker>/<file>.wav`. The publisher gives no split: speakers are shared out by
hash, and a folder of the same name under two keywords is taken for the same speaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kwsctl.data.sources import Source
from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import SourceError
from kwsctl.types import Clip

from ._layout import audio_files_below, find_folder, folders

LICENCE = "Qualcomm Keyword Speech Dataset licence: internal research only, not to be passed on"
CITATION = (
    "B. Kim, M. Lee, J. Lee, Y. Kim, K. Hwang, Query-by-Example On-Device Keyword Spotting, ASRU 2019, "
    "arXiv 1910.05171"
)
SUMMARY = "'Hey Snapdragon', 'Hey Android', 'Hi Galaxy', 'Hi Lumina'; ask Qualcomm for it"
SOURCES: tuple[Source, ...] = ()
ASK = (
    "Accept its licence at www.qualcomm.com/developer/software/keyword-speech-dataset, unpack what "
    "you get, and give the folder as --root."
)
KEYWORDS = ("hey_android", "hey_snapdragon", "hi_galaxy", "hi_lumina")


@dataclass(frozen=True)
class Options:
    """How to share out the speakers.

    Attributes:
        val_share: of the speakers, for `val`.
        test_share: of the speakers, for `test`.
    """

    val_share: float = 0.2
    test_share: float = 0.2


DEFAULTS = Options()


def clips(root: Path, options: Options = DEFAULTS) -> Iterator[Clip]:
    """Reads the folders of the four keywords.

    Args:
        root: the folder with the keywords, or one that holds it.
        options: shares of the splits.

    Yields:
        Clips by keyword and speaker.

    Raises:
        SourceError: there is no such folder, or it holds no audio.
    """
    corpus = find_folder(root, "hey_snapdragon")
    found = [
        Clip(path, keyword, speaker.name)
        for keyword in KEYWORDS
        if (corpus / keyword).is_dir()
        for speaker in folders(corpus / keyword)
        for path in audio_files_below(speaker)
    ]
    if not found:
        raise SourceError(f"{corpus} holds no <keyword>/<speaker>/<file>.wav.", "Unpack the archive again.")
    yield from split_by_speaker(found, val_share=options.val_share, test_share=options.test_share)
