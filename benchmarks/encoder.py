"""Trains the shipped encoder for words it has never heard, and collects the stored negatives.

    python benchmarks/encoder.py WAKE_WORDS_MANIFEST LIBRISPEECH_MANIFEST NOISE_FOLDER [--out FOLDER]

Learned from: the recipe `vocabulary` (synthetic voices, thousands of words), the split `train` of recorded
English wake words, running speech of 160 LibriSpeech readers (each stretch of it a word of its own, and the
readers as speakers), noise of ESC-10's folds 1 and 2. Nothing of it is Arabic, so that
`kwsctl bench new-words` on Arabic Speech Commands shows what a language gets that nobody trained for.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kwsctl import bundle
from kwsctl.data import manifest
from kwsctl.data.prepare import prepare, prepared
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.evaluation.backgrounds import audio_files
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.seeding import numpy_generator
from kwsctl.types import BACKGROUND, Clip

NAME = "any-word"
READERS = 160
OPTIONS = TrainOptions(
    arch="duet", task="encode", objective="softmax", clip_s=1.2, epochs=22, batch_size=256, speaker_weight=0.1
)
LICENCES = {
    "synthetic voices": "hibari, SVOX Pico (Apache-2.0); output of espeak-ng",
    "wake-word-benchmark": "Apache-2.0 (Picovoice)",
    "LibriSpeech, 160 readers": "CC BY 4.0 (Panayotov et al. 2015)",
    "ESC-10": "CC BY 3.0 (K. J. Piczak 2015)",
}
KEPT = {"words": 260, "speech": 320, "noise": 60}


def clips(vocabulary: Path, words: Path, speech: Path, noise: Path) -> Iterator[Clip]:
    """Lists what is learned from; held out are words and voices of the vocabulary."""
    yield from manifest.read(vocabulary)
    spoken = manifest.read(speech)
    readers = set(sorted({clip.speaker for clip in spoken if clip.speaker})[:READERS])
    for clip in spoken:
        if clip.speaker in readers:
            yield dataclasses.replace(clip, split="train", label=BACKGROUND)
    yield from (clip for clip in manifest.read(words) if clip.split == "train")
    for path in audio_files(noise):
        if path.name[0] in "12":
            yield Clip(path, BACKGROUND, None, "train")


def negatives(store: ClipStore, options: TrainOptions) -> stored_negatives.StoredNegatives:
    """Keeps some windows of the training data: many words, many readers, some noise."""
    draw = numpy_generator(0, "stored negatives")
    train_rows = store.where(split="train")
    kinds: dict[str, list[int]] = {"words": [], "speech": [], "noise": []}
    for i in train_rows:
        clip = store.clips[i]
        kind = "words" if clip.label != BACKGROUND else "speech" if clip.speaker else "noise"
        kinds[kind].append(int(i))
    assert options.clip_s is not None
    rows: list[int] = []
    windows = cut(
        store,
        np.array([i for kind in kinds.values() for i in kind]),
        {},
        frozenset({store.clips[i].label for i in kinds["words"]}),
        options.clip_s,
    )
    kind_of = {i: kind for kind, members in kinds.items() for i in members}
    for kind, count in KEPT.items():
        own = [row for row, i in enumerate(windows.clip) if kind_of[int(i)] == kind]
        labels = [
            store.clips[windows.clip[r]].label if kind == "words" else str(windows.clip[r]) for r in own
        ]
        chosen = stored_negatives.spread(labels, count, draw.permutation(len(own)))
        rows += [own[i] for i in chosen]
    sources = [f"{name}: {licence}" for name, licence in LICENCES.items()]
    return stored_negatives.collect(store, windows.take(np.array(rows)), options.features, sources)


def main() -> None:
    """Trains, collects, and writes both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("words", "speech", "noise"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, default=Path("models/pretrained"))
    parser.add_argument("--set", action="append", default=[], help="option of training, key=value")
    parser.add_argument("--negatives-only", action="store_true", help="keep the encoder that is there")
    chosen = parser.parse_args()
    from kwsctl.options import resolve, to_mapping

    options = resolve(TrainOptions, assignments=chosen.set, flags=to_mapping(OPTIONS))
    vocabulary = prepare("vocabulary", home(), out=home() / "data" / "vocabulary")
    listed = home() / "data" / "encoder" / "manifest.csv"
    manifest.write(listed, clips(vocabulary.manifest, chosen.words, chosen.speech, chosen.noise))
    store = prepared(listed, home())
    out = chosen.out / f"{NAME}.safetensors"
    if not chosen.negatives_only:
        result = train(store, out, options, provenance={"licences": LICENCES, "data": list(LICENCES)})
        print(result)
    negatives(store, options).save(chosen.out / f"{NAME}.negatives")
    print(bundle.load(out).sha256)


if __name__ == "__main__":
    main()
