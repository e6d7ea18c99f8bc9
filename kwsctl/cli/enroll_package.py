"""`kwsctl enroll --model PACKAGE`: enrols on an exported model, without torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from kwsctl.cli import console

if TYPE_CHECKING:
    from kwsctl.cli.enroll import EnrollResult
    from kwsctl.export.enrolment import PackageEnrollOptions
    from kwsctl.personal.encryption import Key


def rate_hz(folder: Path) -> int:
    """Gives the sample rate that a package hears."""
    from kwsctl.export import package

    return package.read(folder).manifest.features.sample_rate_hz


def enroll_in_package(
    folder: Path,
    paths: list[Path],
    user: str,
    keyword: str | None,
    options: PackageEnrollOptions,
    key: Key | None,
) -> EnrollResult:
    """Enrols a keyword, and writes what is the person's into the package.

    Args:
        folder: of the package.
        paths: the clips.
        user: who.
        keyword: what is said; None if there is only one possibility.
        options: how.
        key: seals what is the person's.

    Returns:
        What to show.

    Raises:
        InputError: no clip can be used, or no keyword is given.
    """
    from kwsctl.cli.enroll import EnrollResult
    from kwsctl.errors import InputError
    from kwsctl.export import package, personal, takes
    from kwsctl.export.enrolment import enroll
    from kwsctl.export.runtime import Runtime

    began = time.perf_counter()
    opened = package.read(folder)
    runtime = Runtime(opened)
    is_known = personal.path_of(opened, user).is_file()
    before = personal.read_part(opened, user, key) if is_known else None
    words = [label for label in opened.manifest.labels if not label.startswith("_")]
    if keyword is None and len(words) != 1:
        raise InputError("No keyword is given.", 'Say what the clips say: --keyword "open sesame".')
    used, rejected = takes.read(paths, runtime)
    word = (keyword or words[0]).strip()
    with console.progress_bar("Enrolling") as progress:
        found = enroll(runtime, word, used, before, user, options, progress)
    place = personal.write_part(opened, found.part, key)
    return EnrollResult(
        user=user,
        profile=place,
        keyword=word,
        base=str(folder),
        method=found.method,
        why=found.why,
        policy=options.policy,
        clips_used=tuple(take.path for take in used),
        clips_rejected=rejected,
        threshold=found.threshold,
        expected=found.expected,
        seconds=time.perf_counter() - began,
        bytes=place.stat().st_size,
    )
