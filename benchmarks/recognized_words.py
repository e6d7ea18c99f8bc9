"""Cuts words out of running speech that nobody wrote down, by a recognizer: real voices for an encoder.

    python benchmarks/recognized_words.py MANIFEST OUT [--speakers N]

Needs pocketsphinx (the extra `peers`). Many words are heard wrongly; an encoder takes that well, because what
clips of one name share is mostly right, and because the voices, rooms and microphones of real people are what
synthetic words lack. Pairs of neighbouring words that are short enough are words, too.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio import files
from kwsctl.data import manifest
from kwsctl.seeding import numpy_generator
from kwsctl.threads import cores
from kwsctl.types import Clip

RATE_HZ, FRAME = 16_000, 160  # the recognizer's frames are 10 ms
SURE = 0.05  # of a word, by the recognizer; less is mostly noise
SHORTEST, LONGEST = 22, 110  # frames
MARGINS = (
    1,
    4,
    8,
)  # frames around a word: nobody cuts exactly, and few real words stand beside many synthetic
WHOLE_S = 1.0
ROOM_TONE = 1e-4
SPELLED = re.compile(r"[a-z']+")
VARIANT = re.compile(r"\(\d+\)$")  # "the(2)" is another pronunciation of "the"


@dataclass(frozen=True)
class Heard:
    """A word in a recording.

    Attributes:
        name: what the recognizer heard.
        first: frame where it begins.
        last: frame where it ends.
        sure: the recognizer's probability of it.
    """

    name: str
    first: int
    last: int
    sure: float


def recognized(path: Path) -> list[Heard]:
    """Gives what is said in a recording, silences and noises included."""
    samples = (files.read(path, rate_hz=RATE_HZ) * 32767).astype(np.int16)
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    return [
        Heard(VARIANT.sub("", one.word).lower(), one.start_frame, one.end_frame, float(one.prob))
        for one in decoder.seg()
    ]


def words(heard: list[Heard]) -> Iterator[Heard]:
    """Gives the words of three letters or more, and pairs of neighbours, that are neither short nor long."""
    singles = [one for one in heard if SPELLED.fullmatch(one.name) and len(one.name) > 2]
    pairs = [
        Heard(f"{a.name} {b.name}", a.first, b.last, min(a.sure, b.sure))
        for a, b in itertools.pairwise(heard)
        if SPELLED.fullmatch(a.name) and SPELLED.fullmatch(b.name)
    ]
    for one in (*singles, *pairs):
        if one.sure >= SURE and SHORTEST <= one.last - one.first + 1 <= LONGEST:
            yield one


def cut(
    samples: NDArray[np.float32], word: Heard, margin: int, draw: np.random.Generator
) -> NDArray[np.float32]:
    """Cuts a word with so many frames around it, faded, in the middle of a second of next to nothing."""
    part = samples[max(0, (word.first - margin) * FRAME) : (word.last + 1 + margin) * FRAME].copy()
    part[:FRAME] *= np.linspace(0, 1, FRAME, dtype=np.float32)
    part[-FRAME:] *= np.linspace(1, 0, FRAME, dtype=np.float32)
    whole = draw.normal(0, ROOM_TONE, max(len(part), int(WHOLE_S * RATE_HZ))).astype(np.float32)
    first = (len(whole) - len(part)) // 2
    whole[first : first + len(part)] += part
    return whole.clip(-1, 1)


def collect(speech: Path, out: Path, speakers: int) -> Path:
    """Recognizes the speech of the first speakers, and writes clips and their manifest.

    Args:
        speech: manifest of running speech with speakers.
        out: folder to write.
        speakers: how many to take, by name.

    Returns:
        The manifest; if it is there, nothing is done again.
    """
    listed = out / "manifest.csv"
    if listed.is_file():
        return listed
    spoken = [clip for clip in manifest.read(speech) if clip.speaker]
    chosen = set(sorted({str(clip.speaker) for clip in spoken})[:speakers])
    spoken = [clip for clip in spoken if clip.speaker in chosen]
    found = []
    with ProcessPoolExecutor(cores()) as pool:
        for clip, heard in zip(spoken, pool.map(recognized, [c.path for c in spoken]), strict=True):
            samples = files.read(clip.path, rate_hz=RATE_HZ)
            for word, margin in itertools.product(words(heard), MARGINS):
                name = f"{clip.path.stem}-{word.first}-{word.name.replace(' ', '_')}-{margin}"
                path = out / "clips" / f"{name}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write(path, cut(samples, word, margin, numpy_generator(0, name)), RATE_HZ)
                found.append(Clip(path, word.name, clip.speaker, "train"))
    manifest.write(listed, found)
    return listed


@functools.cache
def _decoder():  # type: ignore[no-untyped-def]  # pocketsphinx ships no types
    from pocketsphinx import Decoder

    return Decoder(loglevel="FATAL")


def main() -> None:
    """Prints how much was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speakers", type=int, default=160)
    given = parser.parse_args()
    clips = manifest.read(collect(given.speech, given.out, given.speakers))
    print(f"{len(clips)} clips of {len({clip.label for clip in clips})} names in {given.out}")


if __name__ == "__main__":
    main()
