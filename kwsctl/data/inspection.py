"""Looks through a manifest and its audio files without decoding them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kwsctl.audio import files
from kwsctl.audio.files import AudioInfo
from kwsctl.data import manifest as manifests
from kwsctl.errors import InputError
from kwsctl.progress import Progress, silent
from kwsctl.types import RESERVED_LABELS, SPLITS, Clip

_BEYOND_END_S = 0.05  # durations in manifests are often rounded; reading allows as much


@dataclass(frozen=True)
class Inspection:
    """What a manifest holds.

    Attributes:
        manifest: the CSV.
        clips: how many rows.
        speakers: how many are known by name.
        hours: of audio in the clips whose files can be read.
        splits: for each split its `clips`, `speakers` and `hours`.
        labels: clips by label.
        clips_by_speaker: clips by speaker; those without one are under "".
        problems: clips that cannot be used, and why.
        warnings: what is allowed but probably not meant.
        rejected: how many clips cannot be used.
        licence: not known from a manifest.
    """

    manifest: Path
    clips: int
    speakers: int
    hours: float
    splits: dict[str, dict[str, float]]
    labels: dict[str, int]
    clips_by_speaker: dict[str, int]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    rejected: int
    licence: str | None = None


def inspect(manifest: Path, progress: Progress = silent) -> Inspection:
    """Reads a manifest and the headers of all its audio files.

    Args:
        manifest: the CSV.
        progress: called with the clips looked at.

    Returns:
        Counts, problems and warnings.

    Raises:
        ManifestError: the manifest itself is broken.
    """
    clips = manifests.read(manifest)
    headers: dict[Path, AudioInfo | InputError] = {}
    seconds: list[float] = []
    problems: list[str] = []
    for done, clip in enumerate(clips):
        if clip.path not in headers:
            headers[clip.path] = _header(clip.path)
        found = headers[clip.path]
        length_s = 0.0
        try:
            length_s = _length_s(clip, found)
        except InputError as error:
            problems.append(error.message)
        seconds.append(length_s)
        if done % 256 == 0:
            progress(done, len(clips), problems=len(problems))
    progress(len(clips), len(clips), problems=len(problems))
    return Inspection(
        manifest=manifest,
        clips=len(clips),
        speakers=len({clip.speaker for clip in clips} - {None}),
        hours=sum(seconds) / 3600,
        splits=_by_split(clips, seconds),
        labels=dict(sorted(Counter(clip.label for clip in clips).items())),
        clips_by_speaker=dict(sorted(Counter(clip.speaker or "" for clip in clips).items())),
        problems=tuple(dict.fromkeys(problems)),
        warnings=tuple(_warnings(clips)),
        rejected=len(problems),
    )


def _header(path: Path) -> AudioInfo | InputError:
    try:
        return files.info(path)
    except InputError as error:
        return error


def _length_s(clip: Clip, header: AudioInfo | InputError) -> float:
    if isinstance(header, InputError):
        raise header
    length_s = header.seconds - clip.start_s if clip.duration_s is None else clip.duration_s
    if length_s <= 0 or clip.start_s + length_s > header.seconds + _BEYOND_END_S:
        raise InputError(
            f"{clip.path} ends at {header.seconds:.3f} s, before {clip.start_s + max(0.0, length_s):.3f} s."
        )
    return length_s


def _by_split(clips: Sequence[Clip], seconds: Sequence[float]) -> dict[str, dict[str, float]]:
    table = {}
    for split in SPLITS:
        inside = [i for i, clip in enumerate(clips) if clip.split == split]
        table[split] = {
            "clips": len(inside),
            "speakers": len({clips[i].speaker for i in inside} - {None}),
            "hours": sum(seconds[i] for i in inside) / 3600,
        }
    return table


def _warnings(clips: Sequence[Clip]) -> list[str]:
    told = []
    labels = {split: {clip.label for clip in clips if clip.split == split} for split in SPLITS}
    for split in SPLITS:
        if not labels[split]:
            told.append(f"No clip is in the split {split!r}.")
        unseen = sorted(labels[split] - labels["train"] - set(RESERVED_LABELS))
        if labels["train"] and unseen:
            told.append(f"{len(unseen)} label(s) of {split!r} are not in 'train': {', '.join(unseen[:5])}.")
    nameless = sum(clip.speaker is None and clip.label not in RESERVED_LABELS for clip in clips)
    if nameless:
        told.append(
            f"{nameless} clips of words have no speaker: nobody can tell whether splits share speakers."
        )
    return told
