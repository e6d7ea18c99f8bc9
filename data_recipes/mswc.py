"""Multilingual Spoken Words: words cut from Common Voice, 50 languages, one second each, Opus.

Reads `<language>/clips/<word>/<clip>.opus` and `<language>_splits.csv`. Where the official split has
one speaker in two splits, only the speaker's clips in the split with most of them are kept (on a tie
the later of train, val, test), and how many were left out is logged: figures stay honest, and every
kept clip is in its official split.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kwsctl.data.sources import Source
from kwsctl.errors import InputError, SourceError
from kwsctl.types import SPLITS, UNKNOWN, Clip

from ._layout import find_folder

LICENCE = "CC BY 4.0"
CITATION = (
    "M. Mazumder et al., Multilingual Spoken Words Corpus, NeurIPS Datasets and Benchmarks, 2021, "
    "mlcommons.org/datasets/multilingual-spoken-words"
)
SUMMARY = "Words in 50 languages from Common Voice, 1 s; one language at a time (English: about 30 GB)"

_PLACE = "https://mswc.mlcommons-storage.org"
_SPLIT_OF = {"TRAIN": "train", "DEV": "val", "TEST": "test"}
_COLUMNS = {"SET", "LINK", "WORD", "VALID", "SPEAKER"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Which language and words.

    Attributes:
        language: code of Common Voice, such as `en` or `zh-CN`.
        words: the keywords; empty means that every word is a label.
        unknown_share: clips of other words, as `_unknown_`, per clip of a keyword.
    """

    language: str = "en"
    words: tuple[str, ...] = ()
    unknown_share: float = 0.5


DEFAULTS = Options()


def _sources(language: str) -> tuple[Source, ...]:
    return tuple(
        Source(
            url=f"{_PLACE}/{kind}/{language}.tar.gz",
            sha256=None,  # the publisher lists none
            licence=LICENCE,
            citation=CITATION,
            file_name=f"{kind}-{language}.tar.gz",
        )
        for kind in ("splits", "audio")
    )


SOURCES = _sources("en")


def sources(options: Options) -> tuple[Source, ...]:
    """Names the two archives of a language.

    Args:
        options: the language.

    Returns:
        Where its splits and its audio are.

    Raises:
        InputError: that is not the code of a language.
    """
    if not options.language.replace("-", "").isalnum():
        raise InputError(f"{options.language!r} is no code of a language.", "Use one such as en or zh-CN.")
    return _sources(options.language)


def clips(root: Path, options: Options = DEFAULTS) -> Iterator[Clip]:
    """Reads the table of splits; clips that the publisher found invalid are left out.

    Args:
        root: a folder that holds the unpacked archives, or both in one.
        options: language and words.

    Yields:
        Clips in the order of the table.

    Raises:
        SourceError: table or clips are missing, or the table is broken.
    """
    table = f"{options.language}_splits.csv"
    listed = list(_listed(find_folder(root, table) / table, _audio_folder(root, options.language)))
    disjoint = _one_split_per_speaker(listed)
    if len(disjoint) < len(listed):
        _log.warning(
            "mswc: left out %d of %d clips whose speaker is mainly in another split",
            len(listed) - len(disjoint),
            len(listed),
        )
    yield from _chosen(disjoint, options) if options.words else disjoint


def _audio_folder(root: Path, language: str) -> Path:
    """Finds `<language>/clips`, or `clips` where the folder of the language itself was given."""
    place = f"{language}/clips"
    here = root / "clips"
    return here if here.is_dir() else find_folder(root, place) / place


def _listed(table: Path, audio: Path) -> Iterator[Clip]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = _COLUMNS - set(rows.fieldnames or ())
        if missing:
            raise SourceError(f"{table} has no column {min(missing)!r}.", "Unpack the archive again.")
        for row in rows:
            link = PurePosixPath(row["LINK"] or "/")
            if link.is_absolute() or ".." in link.parts or row["SET"] not in _SPLIT_OF or not row["WORD"]:
                raise SourceError(f"{table}:{rows.line_num}: a broken line.", "Unpack the archive again.")
            if row["VALID"].upper() == "TRUE":
                speaker = row["SPEAKER"] if row["SPEAKER"] not in ("", "NA") else None
                yield Clip(audio / link, row["WORD"], speaker, _SPLIT_OF[row["SET"]])


def _one_split_per_speaker(listed: list[Clip]) -> list[Clip]:
    counts: dict[str, Counter[str]] = {}
    for clip in listed:
        if clip.speaker is not None:
            counts.setdefault(clip.speaker, Counter())[clip.split] += 1
    home = {
        speaker: max(SPLITS, key=lambda split: (found[split], SPLITS.index(split)))
        for speaker, found in counts.items()
    }
    return [clip for clip in listed if clip.speaker is None or home[clip.speaker] == clip.split]


def _chosen(listed: list[Clip], options: Options) -> Iterator[Clip]:
    """Keeps the keywords, and of the other words an even sample as `_unknown_`."""
    for split in SPLITS:
        inside = [clip for clip in listed if clip.split == split]
        keywords = [clip for clip in inside if clip.label in options.words]
        others = [clip for clip in inside if clip.label not in options.words]
        wanted = min(len(others), round(options.unknown_share * len(keywords)))
        yield from keywords
        for k in range(wanted):
            clip = others[k * len(others) // wanted]
            yield Clip(clip.path, UNKNOWN, clip.speaker, split)
