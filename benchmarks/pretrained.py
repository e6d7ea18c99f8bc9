"""Trains the bundle that is shipped with kwsctl, and writes its card.

    python benchmarks/pretrained.py ARABIC_MANIFEST WAKE_WORDS_MANIFEST [--out models/pretrained]

Arabic Speech Commands (`kwsctl data prepare arabic_speech_commands`), English wake words (alexa, computer,
jarvis; github Picovoice/wake-word-benchmark in the manifest layout) and the synthetic recipe's
"hey snapdragon", with its other phrases and running speech as `_unknown_` and `_silence_`.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from kwsctl import bundle
from kwsctl.data.joining import joined
from kwsctl.data.prepare import prepare, prepared
from kwsctl.evaluation.evaluate import evaluate
from kwsctl.evaluation.results import Evaluation
from kwsctl.features.augmentation import Augmentation
from kwsctl.home import home
from kwsctl.learning.sampling import Shares
from kwsctl.learning.train import TrainResult, train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_text

NAME = "commands-44"
OPTIONS = TrainOptions(
    arch="tcresnet",
    network={"dropout": 0.2},
    task="keywords",
    learning_rate=6e-3,
    clip_s=1.5,
    epochs=50,
    keep="last",
    shares=Shares(unknown=0.4, silence=0.15),
    label_smoothing=0.1,
    ema_decay=0.998,
    room_share=0.3,
    augmentation=Augmentation(noise_share=0.5, time_masks=2, mel_masks=2),
)
LICENCES = {
    "Arabic Speech Commands": "CC BY 4.0 (Ghandoura, Hjabo, Al Dakkak 2021)",
    "wake-word-benchmark": "Apache-2.0 (Picovoice)",
    "synthetic voices": "Kokoro-82M, hibari, SVOX Pico (Apache-2.0); output of espeak-ng",
}
CARD = """# {name}

A {arch} for {n_labels} labels in windows of {clip_s:g} s: {params:,} parameters, {macs:,} MACs a window,
{size_kb:.0f} KB. It lets every command work at once, and it is a start for training your own.

- Words: 40 Arabic commands under English names, `alexa`, `computer`, `jarvis` (English), `hey snapdragon`
  (synthetic voices only), `_unknown_`, `_silence_`.
- Made by: `python benchmarks/pretrained.py ARABIC_MANIFEST WAKE_WORDS_MANIFEST`, seed 0.
- sha256: `{sha256}`

| Held-out speakers, split `val`, scored once after training | Accuracy (95 %) | n |
|---|---|---|
{rows}

What that does not show: the speakers of `computer` and `jarvis` are not labelled, so one voice may be on
both sides; `hey snapdragon` was never said by a person; repetitions of a word are from one sitting. Weak
for words that it has not learned, and for languages other than these.

Data: {licences}. The bundle is Apache-2.0; attribution as above.
"""


def row(name: str, found: Evaluation, labels: tuple[str, ...]) -> str:
    """Makes a line of the card from some of the labels."""
    figures = [found.per_label[label] for label in labels]
    n = sum(label.n for label in figures)
    right = sum(label.recall * label.n for label in figures)
    return f"| {name} | {right / n:.2%} | {n} |"


def card(result: TrainResult, found: Evaluation) -> str:
    """Writes what the bundle is, what it reaches, and what not."""
    assert found.accuracy is not None and found.ci95 is not None
    low, high = dataclasses.astuple(found.ci95)[:2]
    english = ("alexa", "computer", "jarvis")
    arabic = tuple(
        k for k in found.per_label if not k.startswith("_") and k not in (*english, "hey snapdragon")
    )
    rows = [f"| all | {found.accuracy:.2%} ({low:.2%} to {high:.2%}) | {found.n} |"]
    rows += [row("40 Arabic commands", found, arabic), row("alexa, computer, jarvis", found, english)]
    rows += [row(label, found, (label,)) for label in ("hey snapdragon", "_unknown_")]
    return CARD.format(
        name=NAME,
        arch=result.arch,
        n_labels=len(result.labels),
        clip_s=result.clip_s,
        params=result.params,
        macs=result.macs_per_clip,
        size_kb=result.bundle.stat().st_size / 1000,
        sha256=result.sha256,
        rows="\n".join(rows),
        licences="; ".join(f"{name}: {licence}" for name, licence in LICENCES.items()),
    )


def main() -> None:
    """Trains, evaluates, and writes bundle and card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, default=Path("models/pretrained"))
    parser.add_argument("--epochs", type=int, default=OPTIONS.epochs)
    chosen = parser.parse_args()
    synthetic = prepare("synthetic", home(), out=home() / "data" / "synthetic-hey-snapdragon")
    store = prepared(joined([*chosen.manifests, synthetic.manifest], home()), home())
    out = chosen.out / f"{NAME}.safetensors"
    options = dataclasses.replace(OPTIONS, epochs=chosen.epochs)
    result = train(store, out, options, provenance={"licences": LICENCES, "data": list(LICENCES)})
    result.log.unlink()
    found = evaluate(bundle.load(out), store, generator=numpy_generator(0, "card"), split="val")
    write_text(out.with_suffix(".md"), card(result, found))
    print(card(result, found))


if __name__ == "__main__":
    main()
