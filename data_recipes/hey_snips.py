"""Hey Snips: the wake word and other sentences by thousands of speakers; access by form.

Reads `train.json`, `dev.json`, `test.json` and `audio_files/` of either version. Other sentences are
`_unknown_`: they come from the same speakers and microphones as the wake word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from kwsctl.data.sources import Source
from kwsctl.errors import SourceError
from kwsctl.types import UNKNOWN, Clip

from ._layout import find_folder

LICENCE = "Snips/Sonos licence: research only, no commercial use, not to be published changed"
CITATION = (
    "A. Coucke et al., Efficient Keyword Spotting Using Dilated Convolutions and Gating, ICASSP 2019, "
    "arXiv 1811.07684; version 2: D. Leroy et al., Federated Learning for Keyword Spotting, ICASSP 2019"
)
SUMMARY = "'Hey Snips' and other English sentences, 2,200 and more speakers; ask Sonos for it"
SOURCES: tuple[Source, ...] = ()
ASK = (
    "Fill in the form named at github.com/sonos/keyword-spotting-research-datasets, unpack what you "
    "get, and give the folder as --root."
)
KEYWORD = "hey_snips"

_LISTS = {"train": "train.json", "val": "dev.json", "test": "test.json"}


def clips(root: Path) -> Iterator[Clip]:
    """Reads the three lists.

    Args:
        root: the folder with the lists, or one that holds it.

    Yields:
        Wake words and other sentences, in the order of the lists.

    Raises:
        SourceError: a list is missing or broken.
    """
    corpus = find_folder(root, *_LISTS.values())
    for split, name in _LISTS.items():
        for number, item in enumerate(_read(corpus / name)):
            try:
                path = PurePosixPath(item["audio_file_path"])
                speaker, wanted = str(item["worker_id"]), int(item["is_hotword"])
            except (KeyError, TypeError, ValueError):
                path, speaker, wanted = PurePosixPath("/"), "", -1
            if path.is_absolute() or ".." in path.parts or wanted not in (0, 1) or not speaker:
                raise SourceError(f"{corpus / name}: entry {number} is broken.", "Unpack the archive again.")
            yield Clip(corpus / path, KEYWORD if wanted else UNKNOWN, speaker, split)


def _read(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise SourceError(f"{path} is not readable JSON.", "Unpack the archive again.") from None
    if not isinstance(found, list):
        raise SourceError(f"{path} is not a list.", "Unpack the archive again.")
    return found
