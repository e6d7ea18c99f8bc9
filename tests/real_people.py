"""A real person's keyword and minutes of a simulated day, from the recordings beside the checkout."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from kwsctl.audio import files
from kwsctl.bench import life
from kwsctl.data.store import ClipStore
from kwsctl.types import Clip
from tests.toy_people import as_store

PERSON, KEYWORD, OTHERS = "00000001", "forward", ("00000005", "00000006")


@functools.cache
def store(real_data: Path) -> ClipStore:
    """A few words by three people."""
    folder = real_data / "arabic_speech_commands"
    clips = [
        Clip(path, word, speaker)
        for word in (KEYWORD, "close", "seven", "stop", "left")
        for speaker in (PERSON, *OTHERS)
        for path in sorted((folder / word).glob(f"{speaker}_*.ogg"))
    ]
    return as_store(clips, (files.read(clip.path) for clip in clips))


def recorded(folder: Path, found: ClipStore) -> tuple[list[Path], Path, life.Stream]:
    """Writes enrolment clips and a day with six calls; gives their paths and the truth."""
    draw = np.random.default_rng(0)
    parts = life.cast_of(found, PERSON, KEYWORD, shots=4, heard=6, generator=draw)
    clips = []
    for row in parts.enrolled:
        samples = life.leveled(found.audio(int(row)).astype(np.float32) / 32768)
        clips.append(folder / f"clip-{row}.wav")
        files.write(clips[-1], samples + life.surroundings(len(samples), draw, None, 0.0), life.RATE_HZ)
    others = life.rows(found, OTHERS, lambda label: label != KEYWORD)
    said = [(int(row), "keyword") for row in parts.heard] + [(int(row), "own") for row in parts.own[:4]]
    said += [(int(row), "other") for row in draw.permutation(others)[:8]]
    stream = life.spoken(found, [said[i] for i in draw.permutation(len(said))], draw)
    day = folder / "day.wav"
    files.write(day, stream.samples, life.RATE_HZ)
    return clips, day, stream
