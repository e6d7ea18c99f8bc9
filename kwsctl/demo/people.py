"""Sorts a spoken corpus for the demo: accents that no training hears, and an outlier among them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl.data import manifest
from kwsctl.errors import InputError
from kwsctl.storage import write_text
from kwsctl.types import RESERVED_LABELS, Clip

UNHEARD = ("nanotts-de-DE", "nanotts-es-ES", "nanotts-fr-FR")
"""Voices that read English by German, Spanish and French rules of sound."""

SHOTS, DAYS, CALLS_A_DAY = 4, 7, 2
LEAST_TEST = 6
"""Fewer clips of the outlier left for the test would show nothing."""


@dataclass(frozen=True)
class Outlier:
    """Whom the demo makes a keyword personal for.

    Attributes:
        speaker: name in the corpus.
        keyword: what is said.
        enrolled: clips to enrol.
        week: clips of the keyword that are said during the week.
        others: clips of the person's other words, said during the week.
        heard_before: detection rate of the shared model.
    """

    speaker: str
    keyword: str
    enrolled: tuple[Path, ...]
    week: tuple[Path, ...]
    others: tuple[Path, ...]
    heard_before: float


def hold_out_accents(corpus: Path, out: Path) -> Path:
    """Writes a manifest in which nobody with one of the `UNHEARD` accents is trained on.

    Args:
        corpus: the manifest of a spoken corpus.
        out: the manifest to write.

    Returns:
        `out`.
    """
    clips = manifest.read(corpus)
    manifest.write(
        out,
        [
            dataclasses.replace(clip, split="test") if (clip.speaker or "").startswith(UNHEARD) else clip
            for clip in clips
        ],
    )
    return out


def devices(corpus: Path, found: Outlier, out: Path) -> Path:
    """Writes the manifest of a federation: people with those accents are clients, the outlier is held out.

    Args:
        corpus: the manifest.
        found: who is held out, with a third of the others.
        out: the manifest to write.

    Returns:
        `out`.
    """
    clips = [c for c in manifest.read(corpus) if (c.speaker or "").startswith(UNHEARD)]
    others = sorted({str(clip.speaker) for clip in clips} - {found.speaker})
    held_out = {found.speaker, *others[::3]}
    manifest.write(
        out,
        [dataclasses.replace(c, split="val" if c.speaker in held_out else "train") for c in clips],
    )
    return out


def outlier(corpus: Path, evaluation: Mapping[str, Any]) -> Outlier:
    """Chooses who was heard worst, and shares that person's clips out, each to one use.

    Args:
        corpus: the manifest.
        evaluation: what `kwsctl evaluate --json` prints of it.

    Returns:
        The person.

    Raises:
        InputError: nobody has clips enough.
    """
    clips = [clip for clip in manifest.read(corpus) if clip.split == "test" and clip.speaker]
    needed = SHOTS + DAYS * CALLS_A_DAY
    rates = {name: row["rate"] for name, row in evaluation["per_speaker"].items()}
    for speaker in sorted(rates, key=lambda name: (rates[name], name)):
        mine = [clip for clip in clips if clip.speaker == speaker]
        said = [clip for clip in mine if clip.label not in RESERVED_LABELS]
        if len(said) >= needed + LEAST_TEST:
            calls = [clip.path for clip in said]
            others = [
                c.path for c in mine if c.label == "_unknown_" and not _resembles(c.path, said[0].label)
            ]
            return Outlier(
                speaker, said[0].label, tuple(calls[:SHOTS]), tuple(calls[SHOTS:needed]),
                tuple(others), rates[speaker],
            )  # fmt: skip
    raise InputError(f"Nobody has {needed + LEAST_TEST} clips.", "Let each speaker say more: --set takes=24.")


def without(corpus: Path, used: Sequence[Path], out: Path) -> Path:
    """Writes the manifest of the test: clips that were heard in the week are left out.

    Enrolled clips may stay: `kwsctl evaluate --user` leaves them out by itself.
    """
    gone = {path.resolve() for path in used}
    manifest.write(out, [clip for clip in manifest.read(corpus) if clip.path.resolve() not in gone])
    return out


def strangers(corpus: Path, found: Outlier) -> list[Clip]:
    """Lists other words by other people, of the training's split: nobody of the test is heard in the week."""
    return [
        clip
        for clip in manifest.read(corpus)
        if (clip.split, clip.label) == ("train", "_unknown_") and not _resembles(clip.path, found.keyword)
    ]


def _resembles(path: Path, keyword: str) -> bool:
    """Says whether a clip was made to sound like the keyword: nobody says such things all day long."""
    return any(word[:4] in path.name for word in keyword.split())


def save(found: Outlier, path: Path) -> None:
    """Keeps who was chosen, so that a demo that was interrupted goes on with the same person."""
    facts = {
        field.name: [str(p) for p in value]
        if isinstance(value := getattr(found, field.name), tuple)
        else value
        for field in dataclasses.fields(found)
    }
    write_text(path, json.dumps(facts, indent=1) + "\n")


def load(path: Path) -> Outlier:
    """Reads who was chosen."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    paths = {name: tuple(map(Path, facts[name])) for name in ("enrolled", "week", "others")}
    return Outlier(**{**facts, **paths})


def in_turn(calls: Sequence[Path], others: Sequence[Path]) -> list[tuple[Path, str]]:
    """Mixes calls among other things that are said, evenly.

    Args:
        calls: clips of the keyword.
        others: clips of other words.

    Returns:
        Clips, each with `keyword` or `other`.
    """
    every = max(1, len(others) // max(1, len(calls)))
    mixed: list[tuple[Path, str]] = []
    rest = iter(others)
    for call in calls:
        mixed += [(path, "other") for path in itertools.islice(rest, every)]
        mixed.append((call, "keyword"))
    return mixed + [(path, "other") for path in rest]
