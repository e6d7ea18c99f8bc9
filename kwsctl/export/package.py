"""The package: a folder that holds all that a device needs, with a manifest that vouches for each file.

It is written into a temporary folder beside its place, renamed when it is whole. Reading it needs no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kwsctl.errors import BundleError, InputError
from kwsctl.storage import sha256_of, write_text
from kwsctl.types import FeatureSpec

FORMAT = 1
MANIFEST, README, REPORT = "manifest.json", "README.md", "export_report.json"
FRONTEND, C_FRONTEND = "frontend.onnx", "frontend.c"
HEAD, HEAD_STEP, WEIGHTS = "head.onnx", "head_step.onnx", "head.safetensors"
NEGATIVES, STREAM, STREAM_START = "negatives.safetensors", "stream.qdq.onnx", "stream_start.safetensors"
PERSONAL = "personal"
REMEDY = "Export it again: kwsctl export --target TARGET --out DIR"


@dataclass(frozen=True)
class Stream:
    """How the streaming graph is run.

    Attributes:
        file: the graph.
        start: the states before the first chunk.
        chunk_frames: feature frames a run.
        scores: embeddings a run.
        delay_frames: feature frames that an embedding waits for beyond the last frame of its window.
    """

    file: str
    start: str
    chunk_frames: int
    scores: int
    delay_frames: int


@dataclass(frozen=True)
class Manifest:
    """What a package is.

    Attributes:
        target: file in `export/targets/`.
        model: file with the graph of one window.
        precision: `w8a8`, `w8a16`, `mixed` or `float`.
        base_sha256: the bundle it was made from.
        base: how that bundle was named.
        arch: its architecture.
        config: the fields of the architecture's `Config`.
        features: how audio becomes features.
        labels: L names in the order of the head's rows.
        task: `keywords` or `wake`.
        clip_s: length of audio that the network sees at once, in s.
        thresholds: per keyword, the score from which it counts as detected.
        embedding_size: E.
        voice_size: S, 0 without a speaker embedding.
        stream: how the streaming graph is run; None without one.
        files: per file, its sha256 and bytes.
        verified: what was verified, in words.
        skipped: what was not made or not verified, and how to get it.
        lineage: of the bundle.
        kwsctl: version that made it.
    """

    target: str
    model: str
    precision: str
    base_sha256: str
    base: str
    arch: str
    config: Mapping[str, Any]
    features: FeatureSpec
    labels: tuple[str, ...]
    task: str
    clip_s: float
    thresholds: Mapping[str, float]
    embedding_size: int
    voice_size: int
    stream: Stream | None
    files: Mapping[str, Mapping[str, Any]] = field(repr=False)
    verified: str
    skipped: tuple[str, ...]
    lineage: Mapping[str, Any] = field(repr=False)
    kwsctl: str

    @property
    def n_frames(self) -> int:
        """T, the feature frames that the network sees at once."""
        return self.features.frames(self.clip_s)


@dataclass(frozen=True)
class Package:
    """A package on disk.

    Attributes:
        folder: where it lies.
        manifest: what it is.
    """

    folder: Path
    manifest: Manifest

    @property
    def model(self) -> Path:
        """The graph of one window."""
        return self.folder / self.manifest.model

    @property
    def sha256(self) -> str:
        """Identity of the package: the sha256 of its manifest, which holds those of the files."""
        return sha256_of(self.folder / MANIFEST)


def is_package(path: Path) -> bool:
    """Tells whether a path is the folder of a package, whole or not."""
    return path.is_dir() and (path / MANIFEST).is_file()


def read(folder: Path) -> Package:
    """Opens a package, and checks every file of it.

    Args:
        folder: of the package.

    Returns:
        The package.

    Raises:
        BundleError: missing, damaged, incomplete, or from a newer version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is no exported package: it has no {MANIFEST}.", REMEDY)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version, kind = int(values.pop("format")), values.pop("kind")
        if version > FORMAT or kind != "package":
            raise BundleError(
                f"{folder} is a {kind} of format {version}, this kwsctl reads up to {FORMAT}.",
                "Upgrade kwsctl to use it.",
            )
        manifest = _manifest(values)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise BundleError(f"{path} lacks or garbles a field: {error}.", REMEDY) from None
    for name, known in manifest.files.items():
        if not (folder / name).is_file():
            raise BundleError(f"{folder} lacks {name}.", REMEDY)
        if sha256_of(folder / name) != known["sha256"]:
            raise BundleError(f"{folder / name} was changed or damaged: its sha256 differs.", REMEDY)
    return Package(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Writes the manifest of a folder that is otherwise complete.

    Args:
        folder: of the package.
        manifest: all but the files, which are counted here.

    Returns:
        The manifest with its files.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in found
        if path.relative_to(folder).parts[0] != PERSONAL  # what people learn changes, and vouches for itself
    }
    whole = dataclasses.replace(manifest, files=files)
    values = {"format": FORMAT, "kind": "package", **dataclasses.asdict(whole)}
    text = json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / MANIFEST, text + "\n")
    return whole


@contextlib.contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Yields a temporary folder beside a place; on success it takes the place, otherwise nothing is left.

    Args:
        place: where the package is to lie; a package that is there already is replaced.

    Yields:
        The folder to write to.

    Raises:
        InputError: something else is there.
    """
    check_free(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    try:
        yield made
        made.chmod(0o755)
        for path in made.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        old = made.with_suffix(".old")
        if place.exists():
            place.rename(old)
        made.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_free(place: Path) -> None:
    """Refuses to write a package over anything but a package.

    Args:
        place: where it is to lie.

    Raises:
        InputError: a file, or a folder that holds something else.
    """
    if place.is_file() or (place.is_dir() and not is_package(place) and any(place.iterdir())):
        raise InputError(f"{place} is there and is no exported package.", "Give another --out.")


def content_digest(*parts: bytes) -> str:
    """Computes the sha256 of parts, in hex, so that no part can borrow from the next."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()


def _manifest(values: dict[str, Any]) -> Manifest:
    stream = values.pop("stream")
    features, labels = FeatureSpec(**values.pop("features")), tuple(values.pop("labels"))
    skipped = tuple(values.pop("skipped"))
    return Manifest(
        **values,
        features=features,
        labels=labels,
        skipped=skipped,
        stream=None if stream is None else Stream(**stream),
    )
