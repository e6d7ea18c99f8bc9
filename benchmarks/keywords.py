"""Forty spoken commands, held-out speakers: what architectures reach, and what each ingredient gives.

    python benchmarks/keywords.py MANIFEST           # the architectures
    python benchmarks/keywords.py MANIFEST --ablate  # TC-ResNet8 with one ingredient left out at a time

MANIFEST is that of Arabic Speech Commands (`kwsctl data prepare arabic_speech_commands`). Training uses
the split `train` for a fixed number of epochs and keeps the last average of the weights; the split `val`,
other speakers, is scored once at the end, so nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from kwsctl import bundle, options
from kwsctl.data.prepare import prepared
from kwsctl.evaluation.answers import recognized_words
from kwsctl.evaluation.scoring import score_clips
from kwsctl.home import home
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.seeding import numpy_generator

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tcresnet8": {"arch": "tcresnet"},
    "tcresnet14-1.5": {"arch": "tcresnet", "network": {"depth": 14, "width": 1.5}},
    "bcresnet-3": {"arch": "bcresnet", "network": {"tau": 3}},
}


MEASURED: dict[str, Any] = {
    "network": {"dropout": 0.2},
    "learning_rate": 6e-3,
    "ema_decay": 0.998,
    "room_share": 0.3,
    "augmentation": {"noise_share": 0.4},
}
"""Differs a little from what is the default today; the table in the README is of this recipe."""


def without(**changes: Any) -> dict[str, Any]:
    """Takes something out of the recipe."""
    augmentation = {**MEASURED["augmentation"], **changes.pop("augmentation", {})}
    return {**MEASURED, **changes, "augmentation": augmentation}


NO_CHANGE = {"speed": 0.0, "warp": 0.0}
NO_MASKS = {"time_masks": 0, "mel_masks": 0}
ABLATIONS: dict[str, dict[str, Any]] = {
    "everything": without(),
    "without noise": without(augmentation={"noise_share": 0.0}),
    "without speed and voice": without(augmentation=NO_CHANGE),
    "without masks": without(augmentation=NO_MASKS),
    "without rooms": without(room_share=0.0),
    "without label smoothing": without(label_smoothing=0.0),
    "without weight averaging": without(ema_decay=0.0),
    "with nothing": without(
        augmentation={**NO_CHANGE, **NO_MASKS, "noise_share": 0.0, "gain_db": 0.0},
        room_share=0.0,
        label_smoothing=0.0,
        ema_decay=0.0,
    ),
}


def run(name: str, values: dict[str, Any], manifest: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Trains one variant and scores the held-out speakers."""
    how = options.from_mapping(TrainOptions, {"keep": "last", **values})
    store = prepared(manifest, home())
    slug = f"{name.replace(' ', '-')}-{seed}"
    result = train(store, folder / f"{slug}.safetensors", how, seed=seed)
    scores = score_clips(bundle.load(result.bundle), store, store.where(split="val"))
    answers = recognized_words(scores, numpy_generator(0, "bench"))
    assert answers.accuracy is not None and answers.ci95 is not None
    return {
        "variant": name,
        "seed": seed,
        "params": result.params,
        "macs": result.macs_per_clip,
        "epochs": result.epochs,
        "accuracy": round(answers.accuracy, 4),
        "ci95": [round(v, 4) for v in dataclasses.astuple(answers.ci95)[:2]],
        "n": len(answers.right),
        "speakers": len(set(answers.speakers)),
        "train_s": round(result.train_s),
        "data_share": round(result.data_share, 3),
    }


def main() -> None:
    """Runs the asked-for variants and prints one JSON line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path, help="keep the bundles here")
    chosen = parser.parse_args()
    variants = {k: {"epochs": 40, **v} for k, v in ABLATIONS.items()} if chosen.ablate else ARCHITECTURES
    with tempfile.TemporaryDirectory() as temporary:
        for name, values in variants.items():
            if chosen.only and name not in chosen.only:
                continue
            for seed in chosen.seeds:
                epochs = {"epochs": chosen.epochs} if chosen.epochs else {}
                row = run(name, {**values, **epochs}, chosen.manifest, chosen.out or Path(temporary), seed)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
