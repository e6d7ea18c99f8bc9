"""Trains the shipped encoder for words it has never heard, and collects the stored negatives.

    python benchmarks/encoder.py WAKE_WORDS_MANIFEST LIBRISPEECH_MANIFEST NOISE_FOLDER --out FIRST
    python benchmarks/encoder.py WAKE_WORDS_MANIFEST LIBRISPEECH_MANIFEST NOISE_FOLDER --recognized
        --from FIRST/any-word.safetensors --seeds 2 --out SECOND
    python benchmarks/encoder.py WAKE_WORDS_MANIFEST LIBRISPEECH_MANIFEST NOISE_FOLDER --recognized
        --from SECOND/any-word.safetensors --seeds 2 --set augmentation.noise_share=0.6
        --set augmentation.snr_db=[-5,25]

Learned from: the recipe `vocabulary` (synthetic voices, thousands of words), the split `train` of recorded
English wake words, running speech of 160 LibriSpeech readers (each stretch of it a word of its own, and the
readers as speakers), noise of ESC-10's folds 1 and 2. The second run, which goes on from the first, adds
real voices: the words in that speech that a recognizer hears (`recognized_words.py`); what two seeds come
to is averaged. The third hears more noise, down to louder than the speech. Nothing of it is Arabic, so that
`kwsctl bench new-words` on Arabic Speech Commands shows what a language gets that nobody trained for.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import recognized_words
import torch

from kwsctl import architecture, bundle
from kwsctl.audio.folders import audio_files
from kwsctl.bench.new_words import NewWords, new_words
from kwsctl.bench.people import gather
from kwsctl.data import manifest
from kwsctl.data.prepare import prepare, prepared
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.features.augmentation import Augmentation
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.options import resolve
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_text
from kwsctl.types import BACKGROUND, Clip

NAME = "any-word"
READERS = 160
OPTIONS = TrainOptions(
    arch="duet",
    task="encode",
    objective="softmax",
    clip_s=1.2,
    epochs=36,
    batch_size=256,
    learning_rate=6e-3,
    speaker_weight=0.2,
    ema_decay=0.998,
    room_share=0.3,
    augmentation=Augmentation(noise_share=0.4, time_masks=1, mel_masks=1),
)
GOING_ON = dataclasses.replace(OPTIONS, epochs=24, learning_rate=3e-3, keep="last")
"""From another encoder; held-out synthetic words do not tell what real ones gain: the last epoch is kept."""
LICENCES = {
    "synthetic voices": "hibari, SVOX Pico (Apache-2.0); output of espeak-ng",
    "wake-word-benchmark": "Apache-2.0 (Picovoice)",
    "LibriSpeech, 160 readers": "CC BY 4.0 (Panayotov et al. 2015)",
    "ESC-10": "CC BY 3.0 (K. J. Piczak 2015)",
}
CARD = """# {name}

A {arch} that hears {clip_s:g} s at a time and gives a word and a speaker embedding: {params:,} parameters,
{macs:,} MACs a window, {size_kb:.0f} KB. It has no keywords of its own: `kwsctl enroll` adds them.

- Data: {licences}.
- Made by: the three runs of `python benchmarks/encoder.py WAKE_WORDS LIBRISPEECH NOISE` that its `--help`
  gives, seeds 0 and 1. Held out while training: other words by other synthetic voices; three clips enrolled,
  {found:.1%} found at 1 % false alarms, EER {eer:.2%}.
- sha256: `{sha256}`
- `{name}.negatives`: {n_negatives} windows of the training data as eight-bit features (not audio), which
  enrolment compares a person with; same licences.

{test}

What that does not show: the repetitions of a word by a person are from one sitting; 24 people, one language.
Words of one syllable that differ in one sound are confused. No child and no elderly voice was among the
recordings learned from, as far as is known.

The bundle is Apache-2.0; attribution as above.
"""
TEST = """Arabic, which it never learned: 24 people, {words} words, {shots} clips enrolled by `{method}`
(`kwsctl bench new-words`), intervals over people:

| Trials | EER (95 %) | Found at 1 % (95 %) | Own | Others |
|---|---|---|---|---|
{rows}"""
KEPT = {"words": 260, "speech": 320, "noise": 60}


def clips(
    vocabulary: Path, words: Path, speech: Path, noise: Path, recognized: Path | None = None
) -> Iterator[Clip]:
    """Lists what is learned from; held out are words and voices of the vocabulary."""
    yield from manifest.read(vocabulary)
    if recognized is not None:
        yield from manifest.read(recognized)
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


def tested(path: Path, kept: stored_negatives.StoredNegatives, manifest_path: Path) -> NewWords:
    """Enrols every word of the test by everybody."""
    people = gather(prepared(manifest_path, home()), bundle.load(path))
    return new_words(people, kept, words=sorted(set(people.words)))


def averaged(members: Sequence[bundle.Bundle]) -> bundle.Bundle:
    """Averages the weights of encoders that went on from the same one.

    Wortsman et al. 2022, "Model soups", arXiv 2203.05482, section 2 (uniform soup).

    Args:
        members: one for each seed.

    Returns:
        One encoder; its held-out figures are those of the members, on average.
    """
    first = members[0]
    weights = {
        name: torch.stack([one.weights[name].double() for one in members]).mean(0).to(tensor.dtype)
        for name, tensor in first.weights.items()
    }
    figures = [one.lineage["val"] for one in members]
    lineage = {
        **first.lineage,
        "seed": [one.lineage["seed"] for one in members],
        "members": [one.sha256 for one in members],
        "val": {name: float(np.mean([one[name] for one in figures])) for name in figures[0]},
    }
    return dataclasses.replace(first, weights=weights, lineage=lineage)


def card(path: Path, kept: stored_negatives.StoredNegatives, found: NewWords) -> str:
    """Writes what the encoder is, what it reaches, and what not."""
    encoder = bundle.load(path)
    model = encoder.model()
    held_out = encoder.lineage["val"]
    rows = [
        f"| {kind} | {f.eer:.1%} ({f.eer_low:.1%} to {f.eer_high:.1%}) "
        f"| {f.found:.1%} ({f.found_low:.1%} to {f.found_high:.1%}) | {f.targets:,} | {f.non_targets:,} |"
        for kind, f in found.figures.items()
    ]
    return CARD.format(
        name=NAME,
        arch=encoder.arch,
        clip_s=encoder.clip_s,
        params=architecture.count_parameters(model),
        macs=architecture.count_macs(model, encoder.n_frames),
        size_kb=path.stat().st_size / 1000,
        licences="; ".join(f"{name}: {licence}" for name, licence in LICENCES.items()),
        found=held_out["found_at_far_1pct"],
        eer=held_out["equal_error_rate"],
        sha256=encoder.sha256,
        n_negatives=len(kept.levels),
        test=TEST.format(words=found.words, shots=found.shots, method=found.method, rows="\n".join(rows)),
    )


def main() -> None:
    """Trains, collects, and writes both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("words", "speech", "noise"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, default=Path("models/pretrained"))
    parser.add_argument("--set", action="append", default=[], help="option of training, key=value")
    parser.add_argument(
        "--vocabulary", action="append", default=[], help="option of the recipe vocabulary, key=value"
    )
    parser.add_argument(
        "--test", type=Path, help="manifest of Arabic Speech Commands: test, and write the card"
    )
    parser.add_argument("--recognized", action="store_true", help="learn from recognized words, too")
    parser.add_argument("--from", dest="start", type=Path, help="encoder to go on from; its negatives stay")
    parser.add_argument("--seeds", type=int, default=1, help="so many trainings, whose weights are averaged")
    parser.add_argument("--negatives-only", action="store_true", help="keep the encoder that is there")
    chosen = parser.parse_args()
    start = None if chosen.start is None else bundle.load(chosen.start)
    defaults = OPTIONS if start is None else GOING_ON
    options = resolve(TrainOptions, assignments=chosen.set, defaults=defaults)
    place = home() / "data" / "vocabulary"
    vocabulary = prepare("vocabulary", home(), out=place, assignments=chosen.vocabulary)
    listed = home() / "data" / "encoder" / "manifest.csv"
    recognized = None
    if chosen.recognized:
        recognized = recognized_words.collect(chosen.speech, home() / "data" / "recognized", READERS)
    manifest.write(listed, clips(vocabulary.manifest, chosen.words, chosen.speech, chosen.noise, recognized))
    store = prepared(listed, home())
    out = chosen.out / f"{NAME}.safetensors"
    if not chosen.negatives_only:
        members = []
        for seed in range(chosen.seeds):
            place = out.with_name(f"{NAME}-{seed}.safetensors")
            result = train(
                store,
                place,
                options,
                seed=seed,
                start=start,
                provenance={"licences": LICENCES, "data": list(LICENCES)},
            )
            print(result)
            result.log.unlink()
            members.append(bundle.load(place))
            place.unlink()
        (members[0] if len(members) == 1 else averaged(members)).save(out)
    if start is None:
        kept = negatives(store, options)
        kept.save(chosen.out / f"{NAME}.negatives")
    else:
        kept = stored_negatives.load(chosen.start.with_suffix(".negatives"))
    if chosen.test is not None:
        write_text(out.with_suffix(".md"), card(out, kept, tested(out, kept, chosen.test)))


if __name__ == "__main__":
    main()
