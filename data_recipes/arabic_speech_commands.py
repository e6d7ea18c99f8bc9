"""Arabic Speech Commands: 40 words, each ten times by 30 speakers, one second each.

Reads the publisher's layout (`dataset/<word>/<speaker>_NO_<n>.wav`, with the speaker-disjoint split
in `train.csv`, `val.csv` and `test.csv`), or the same corpus with a kwsctl manifest. Words of two
parts get an underscore: `zoom_in`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kwsctl.data import manifest
from kwsctl.data.sources import Source
from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import SourceError
from kwsctl.types import BACKGROUND, SPLITS, Clip

from ._layout import audio_files, find_folder

LICENCE = "CC BY 4.0"
CITATION = (
    "A. Ghandoura, F. Hjabo, O. Al Dakkak, Building and Benchmarking an Arabic Speech Commands Dataset for "
    "Small-Footprint Keyword Spotting, Engineering Applications of Artificial Intelligence, 2021, "
    "doi 10.5281/zenodo.4662481"
)
SUMMARY = "40 Arabic command words, 1 s, 30 speakers, 12,000 clips"
SOURCES = (
    Source(
        url="https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset/archive/master.zip",
        sha256=None,  # GitHub makes the archive anew, its bytes are not promised
        licence=LICENCE,
        citation=CITATION,
        file_name="arabic-speech-commands-dataset-master.zip",
    ),
)


def clips(root: Path) -> Iterator[Clip]:
    """Reads the three CSV files, or a manifest.

    Args:
        root: the unpacked archive, a folder that holds it, or one with `manifest.csv`.

    Yields:
        Words, then noise.

    Raises:
        SourceError: neither is there, or a line names a file that is not a word of a speaker.
    """
    if (root / "manifest.csv").is_file():
        yield from manifest.read(root / "manifest.csv")
        return
    corpus = find_folder(root, "train.csv", "val.csv", "test.csv")
    for split in SPLITS:
        yield from _listed(corpus, split)
    noises = audio_files(find_folder(corpus, "background_noise") / "background_noise")
    yield from split_by_speaker(Clip(path, BACKGROUND) for path in noises)


def _listed(corpus: Path, split: str) -> Iterator[Clip]:
    table = corpus / f"{split}.csv"
    with table.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            name, label = (row.get("file") or "").strip(), (row.get("class") or "").strip()
            place = PurePosixPath(name)
            speaker, underscore, _ = place.name.partition("_")
            if not (label and underscore) or place.is_absolute() or ".." in place.parts:
                raise SourceError(
                    f"{table} has the line {name!r}, {label!r}.",
                    "Expected columns file,class with dataset/<word>/<speaker>_NO_<n>.wav.",
                )
            yield Clip(corpus / name, label.replace(" ", "_"), speaker, split)
