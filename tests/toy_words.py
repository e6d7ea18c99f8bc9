"""Three words that a small network learns in seconds: sequences of tones in many voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kwsctl.audio import files
from kwsctl.data import manifest, store
from kwsctl.data.store import ClipStore
from kwsctl.types import BACKGROUND, Clip

RATE = 16_000
WORDS = {"rise": (400, 800, 1600), "fall": (1600, 800, 400), "hill": (500, 1500, 500)}


def say(word: str, speaker: int, take: int) -> np.ndarray:
    """Speaks a word in 1 s: three tones in the pitch and the pace of a speaker, and a little noise."""
    draw = np.random.default_rng([speaker, take, sum(map(ord, word))])
    pitch = 0.85 + 0.02 * speaker
    tone_s = 0.18 + 0.004 * speaker
    time_s = np.arange(round(tone_s * RATE)) / RATE
    fade = np.sin(np.pi * np.arange(len(time_s)) / len(time_s))
    tones = [np.sin(2 * np.pi * hz * pitch * draw.uniform(0.97, 1.03) * time_s) * fade for hz in WORDS[word]]
    wave = 0.01 * draw.normal(size=RATE)
    first = draw.integers(0, RATE - 3 * len(time_s))
    wave[first : first + 3 * len(time_s)] += 0.3 * np.concatenate(tones)
    return wave.astype(np.float32)


def write_corpus(folder: Path, words: tuple[str, ...] = ("rise", "fall"), speakers: int = 10) -> Path:
    """Writes a corpus with a manifest; `hill` always stands for unknown words unless it is asked for.

    Speakers 0 and 1 are the split `val`, 2 is `test`, the others `train`.
    """
    clips = []
    for speaker in range(speakers):
        split = "val" if speaker < 2 else "test" if speaker == 2 else "train"
        for word in WORDS:
            for take in range(6):
                path = folder / f"{word}-{speaker}-{take}.wav"
                files.write(path, say(word, speaker, take), RATE)
                label = word if word in words else "_unknown_"
                clips.append(Clip(path, label, f"s{speaker}", split))
    for split in ("train", "val", "test"):
        draw = np.random.default_rng(len(split))
        path = folder / f"noise-{split}.wav"
        files.write(path, (0.05 * draw.normal(size=20 * RATE)).astype(np.float32), RATE)
        clips.append(Clip(path, BACKGROUND, None, split))
    manifest.write(folder / "manifest.csv", clips)
    return folder / "manifest.csv"


def toy_store(folder: Path, words: tuple[str, ...] = ("rise", "fall")) -> ClipStore:
    """Prepares the corpus of `write_corpus`."""
    return store.prepare(manifest.read(write_corpus(folder / "clips", words)), folder / "store")
