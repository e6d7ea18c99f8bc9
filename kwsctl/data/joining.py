"""Joins several manifests into one, so that words of one corpus are negatives for another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from kwsctl.data import manifest
from kwsctl.storage import sha256_of


def joined(manifests: Sequence[Path], home: Path) -> Path:
    """Gives one manifest that holds the clips of several.

    Args:
        manifests: one or more; a speaker's name means the same person in all of them.
        home: see `kwsctl.home`; the joined manifest goes into its `data` folder.

    Returns:
        The only manifest itself, or the joined one.

    Raises:
        ManifestError: one of them is broken, or a speaker is in two splits.
    """
    if len(manifests) == 1:
        return manifests[0]
    clips = [clip for path in manifests for clip in manifest.read(path)]
    identity = "\n".join(f"{path.resolve()} {sha256_of(path)}" for path in manifests)
    short_hash = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    out = home / "data" / f"joined-{short_hash}" / "manifest.csv"
    if not out.is_file():
        manifest.write(out, clips)
    return out
