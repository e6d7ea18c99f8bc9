"""Brings data into the form that training and evaluation take: a manifest and a clip store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kwsctl.data import manifest as manifests
from kwsctl.data import store
from kwsctl.data.store import ClipStore
from kwsctl.progress import Progress, silent


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
