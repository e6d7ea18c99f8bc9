"""Which objective trains the better encoder for new words, in equally many epochs.

    python benchmarks/objectives.py MANIFEST TEST_MANIFEST [--epochs 6] [--only softmax triplet]

MANIFEST is what the encoder learns from (`benchmarks/encoder.py` leaves one in KWSCTL_HOME/data/encoder; the
recipe `vocabulary` alone does, too); its split `val` has other words by other voices. TEST_MANIFEST is in
another language (Arabic Speech Commands): every fourth word, three clips enrolled.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

from encoder import OPTIONS

from kwsctl import bundle, registry
from kwsctl.bench.new_words import new_words
from kwsctl.bench.people import gather
from kwsctl.cli.parameters import NEGATIVES, shipped
from kwsctl.data.prepare import prepared
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.learning.encoder import OBJECTIVES
from kwsctl.learning.train import train

EVERY = 4


def main() -> None:
    """Trains with each objective and prints one JSON line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=list(registry.names(OBJECTIVES)))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    store, test = prepared(chosen.manifest, home()), prepared(chosen.test, home())
    negatives = stored_negatives.load(shipped(NEGATIVES))
    for objective in chosen.only:
        how = dataclasses.replace(OPTIONS, objective=objective, epochs=chosen.epochs, keep="last")
        with tempfile.TemporaryDirectory() as folder:
            result = train(store, Path(folder) / "encoder.safetensors", how, seed=chosen.seed)
            people = gather(test, bundle.load(result.bundle))
        words = sorted(set(people.words))[::EVERY]
        found = new_words(people, negatives, words=words, method="prototype").figures
        row = {
            "objective": objective,
            "epochs": result.epochs,
            "train_s": round(result.train_s),
            **{f"val_{name}": round(value, 4) for name, value in result.val.items()},
        }
        for kind, figures in found.items():
            row[kind] = [round(figures.eer, 4), round(figures.found, 4)]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
