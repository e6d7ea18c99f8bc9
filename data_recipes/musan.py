"""MUSAN: music, speech and noise, 109 hours, as background without keywords.

Reads `musan/<part>/<source>/<file>.wav`. There is no official split: files are shared out by hash.
Speech is read aloud in many languages and may hold any word, keywords too; readers are not named, so
one may be in two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kwsctl.data.sources import Source
from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import InputError, SourceError
from kwsctl.types import BACKGROUND, Clip

from ._layout import audio_files_below, find_folder

LICENCE = "CC BY 4.0 and public domain (see the LICENSE file of each source)"
CITATION = "D. Snyder, G. Chen, D. Povey, MUSAN: A Music, Speech, and Noise Corpus, arXiv 1510.08484, 2015"
SUMMARY = "Music, speech and noise, 109 h: background and false alarms per hour"
SOURCES = (
    Source(
        url="https://www.openslr.org/resources/17/musan.tar.gz",
        sha256=None,  # upstream publishes an md5 only
        licence=LICENCE,
        citation=CITATION,
        bytes=11_086_114_085,
        md5="0c472d4fc0c5141eca47ad1ffeb2a7df",
    ),
)
PARTS = ("music", "noise", "speech")


@dataclass(frozen=True)
class Options:
    """Which parts.

    Attributes:
        parts: of `music`, `noise` and `speech`.
    """

    parts: tuple[str, ...] = PARTS


DEFAULTS = Options()


def clips(root: Path, options: Options = DEFAULTS) -> Iterator[Clip]:
    """Reads the folders of the parts.

    Args:
        root: the folder with the parts, or one that holds it.
        options: which parts.

    Yields:
        Whole files as `_background_`.

    Raises:
        InputError: there is no such part.
        SourceError: the folder has none of the parts, or they hold no audio.
    """
    for part in options.parts:
        if part not in PARTS:
            raise InputError(f"MUSAN has no part {part!r}.", f"Use {', '.join(PARTS)}.")
    corpus = find_folder(root, *options.parts)
    found = [Clip(path, BACKGROUND) for part in options.parts for path in audio_files_below(corpus / part)]
    if not found:
        raise SourceError(f"{corpus} holds no audio.", "Unpack the archive again.")
    yield from split_by_speaker(found)
