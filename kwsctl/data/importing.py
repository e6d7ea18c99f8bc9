"""Writes a manifest from data that other speech tools have prepared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kwsctl import registry
from kwsctl.data import manifest as manifests
from kwsctl.data.imports._labelling import Options
from kwsctl.data.inspection import Inspection, inspect
from kwsctl.options import resolve
from kwsctl.progress import Progress, silent

FORMATS = "kwsctl.data.imports"


def import_manifest(
    format_: str,
    path: Path,
    out: Path,
    *,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    progress: Progress = silent,
) -> Inspection:
    """Reads another tool's description of data, writes a manifest and looks it through.

    Args:
        format_: name of a file in `kwsctl/data/imports`.
        path: what that format reads.
        out: manifest to write.
        file: TOML with fields of `Options`.
        assignments: `key=value` fields of `Options`.
        progress: called with the clips looked at.

    Returns:
        What the manifest holds, and the clips whose audio is missing or broken.

    Raises:
        ManifestError: `path` is broken.
    """
    options = resolve(Options, file=file, assignments=assignments)
    manifests.write(out, registry.load(FORMATS, format_).clips(path, options))
    return inspect(out, progress)
