"""Brings data into the form that training and evaluation take: a manifest and a clip store.

A recipe (`data_recipes/<name>.py`) says where the data is and how its folders are to be read; here
it is fetched, unpacked, listed in a manifest and decoded. Every step is skipped if it was done, and
goes on where it was killed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast

from kwsctl import registry
from kwsctl.data import archives, sources, store
from kwsctl.data import manifest as manifests
from kwsctl.data.sources import Receipt, Source
from kwsctl.data.store import ClipStore, Rejection
from kwsctl.errors import InputError, SourceError
from kwsctl.options import resolve
from kwsctl.progress import Progress, silent
from kwsctl.types import Clip

RECIPES = "kwsctl.data_recipes"


class Recipe(Protocol):
    """What a file in `data_recipes/` exposes.

    Besides these it may have: `Options`, a frozen dataclass, which `clips` then takes as its second
    argument; `sources(options)`, where what to fetch depends on them;
    `obtain(root, options, progress) -> Path`, where fetching and unpacking is not what it takes; and
    `ASK`, which says how to get data that is not public.

    Attributes:
        SOURCES: what to download; empty where there is nothing public to download.
        LICENCE: of the data.
        CITATION: what to cite.
        SUMMARY: one line for `kwsctl data list`.
    """

    SOURCES: tuple[Source, ...]
    LICENCE: str
    CITATION: str
    SUMMARY: str

    def clips(self, root: Path) -> Iterator[Clip]:
        """Reads a folder in the layout that its publisher gave it.

        Args:
            root: the folder, or one that holds it.

        Returns:
            The clips, in an order that does not change.
        """


@dataclass(frozen=True)
class Listed:
    """One line of `kwsctl data list`.

    Attributes:
        name: on the command line.
        summary: what it is.
        licence: of the data.
        bytes: to download with the default options, where that is known.
    """

    name: str
    summary: str
    licence: str
    bytes: int | None


@dataclass(frozen=True)
class Prepared:
    """What `kwsctl data prepare` made.

    Attributes:
        manifest: the CSV to train and evaluate with.
        clips: how many can be used.
        speakers: how many are known by name.
        hours: of audio.
        licence: of the data.
        rejected: clips that cannot be used.
        citation: what to cite.
        store: the folder with the decoded clips.
        rejections: which clips were rejected, and why.
        downloads: what was fetched, with its sha256.
    """

    manifest: Path
    clips: int
    speakers: int
    hours: float
    licence: str
    rejected: int
    citation: str
    store: Path
    rejections: tuple[Rejection, ...]
    downloads: tuple[Receipt, ...]


@dataclass(frozen=True)
class _NoOptions:
    """Stands for the options of a recipe that has none."""


def recipes() -> tuple[Listed, ...]:
    """Lists the recipes by name."""
    listed = []
    for name in registry.names(RECIPES):
        recipe = _load(name)
        sizes = [source.bytes for source in _sources(recipe, _options_type(recipe)())]
        total = sum(size for size in sizes if size is not None) if all(sizes) and sizes else None
        listed.append(Listed(name, recipe.SUMMARY, recipe.LICENCE, total))
    return tuple(listed)


def prepare(
    name: str,
    home: Path,
    *,
    out: Path | None = None,
    root: Path | None = None,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Fetches what a recipe names, lists its clips in a manifest and decodes them.

    Args:
        name: of the recipe.
        home: see `kwsctl.home`; the decoded clips go there.
        out: folder for downloads and the manifest; by default `data/<name>` in the home.
        root: the data, where you have it already; nothing is fetched then.
        file: TOML with options of the recipe.
        assignments: `key=value` options of the recipe.
        flags: further options; those that the recipe does not have are ignored.
        progress: called with bytes while fetching and clips while decoding; `step` says which.

    Returns:
        What was made.

    Raises:
        InputError: `root` is not a folder, or none of its clips can be used.
        SourceError: the data cannot be had, or is not what the recipe expects.
    """
    recipe = _load(name)
    kind = _options_type(recipe)
    known = {field.name for field in fields(kind)}
    given = {key: value for key, value in (flags or {}).items() if key in known}
    options = resolve(kind, file=file, assignments=assignments, flags=given)
    place = out if out is not None else home / "data" / name
    downloads: tuple[Receipt, ...] = ()
    if root is not None:
        if not root.is_dir():
            raise InputError(f"--root {root} is not a folder.", "Give the folder that holds the data.")
    elif hasattr(recipe, "ASK"):
        raise SourceError(f"The data of {name!r} cannot be downloaded.", recipe.ASK)
    elif hasattr(recipe, "obtain"):
        root = recipe.obtain(place, options, _step(progress, "making"))
    else:
        root, downloads = _fetch(recipe, options, place, progress)
    clips = recipe.clips(root, options) if kind is not _NoOptions else recipe.clips(root)  # type: ignore[call-arg]
    manifest = place / "manifest.csv"
    manifests.write(manifest, clips)
    made = prepared(manifest, home, _step(progress, "decoding"))
    return Prepared(
        manifest=manifest,
        clips=len(made),
        speakers=len({clip.speaker for clip in made.clips} - {None}),
        hours=made.seconds / 3600,
        licence=recipe.LICENCE,
        rejected=len(made.rejected),
        citation=recipe.CITATION,
        store=made.folder,
        rejections=made.rejected,
        downloads=downloads,
    )


def prepared(manifest: Path, home: Path, progress: Progress = silent, *, rate_hz: int = 16_000) -> ClipStore:
    """Gives the clip store of a manifest, making it in the home if it is not there yet.

    Args:
        manifest: CSV, see `kwsctl.data.manifest`.
        home: see `kwsctl.home`; the store lies in its `prepared` folder.
        progress: called with the clips done.
        rate_hz: sample rate of the store.

    Returns:
        The store; clips that cannot be decoded are in its `rejected`.
    """
    clips = manifests.read(manifest)
    place = manifest.resolve()
    name = place.parent.name if place.name == "manifest.csv" else place.stem
    short_hash = hashlib.sha256(f"{place}\n{rate_hz}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
    folder = home / "prepared" / f"{name}-{short_hash}"
    return store.prepare(clips, folder, rate_hz=rate_hz, progress=progress)


def _load(name: str) -> Recipe:
    return cast(Recipe, registry.load(RECIPES, name))


def _options_type(recipe: Recipe) -> Any:
    return getattr(recipe, "Options", _NoOptions)


def _sources(recipe: Recipe, options: object) -> tuple[Source, ...]:
    return tuple(recipe.sources(options)) if hasattr(recipe, "sources") else recipe.SOURCES


def _fetch(
    recipe: Recipe, options: object, place: Path, progress: Progress
) -> tuple[Path, tuple[Receipt, ...]]:
    """Downloads and unpacks, each archive into a folder of its own below one for this choice of archives."""
    wanted = _sources(recipe, options)
    stems = [re.sub(r"\.(zip|tgz|tar(\.\w+)?)$", "", source.name) for source in wanted]
    root = place / "unpacked" / "+".join(stems)
    receipts = []
    for source, stem in zip(wanted, stems, strict=True):
        archive = sources.download(source, place / "download", _step(progress, f"fetching {source.name}"))
        archives.unpack(archive, root / stem, progress=_step(progress, f"unpacking {source.name}"))
        receipts.append(sources.receipt(archive))
    return root, tuple(receipts)


def _step(progress: Progress, step: str) -> Progress:
    """Says which step is being reported."""

    def report(done: int, total: int | None, /, **facts: str | float) -> None:
        progress(done, total, step=step, **facts)

    return report
