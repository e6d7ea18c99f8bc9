"""Trains the shipped verification model `any-voice`, and tries it on people whom it never heard.

python benchmarks/verifier.py --readers librispeech_251/manifest.csv --people arabic/manifest.csv

Every reader is a user of a federation (FedUV, codes of 127 bits), of 1.2 s windows of running speech; the
trunk is that of the shipped encoder `any-word` and stays as it is. The people say words; five clips of each
are enrolled, clips of other words are tried. Beside it stands the speaker embedding of `any-word`, with the
same clips.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl import bundle
from kwsctl.bench import verification_people as people_of
from kwsctl.bench.verification_trials import federation, played
from kwsctl.bundle import Bundle
from kwsctl.cli import parameters
from kwsctl.data.prepare import prepared
from kwsctl.federated.verification import Cast, Heard
from kwsctl.home import home as home_folder
from kwsctl.seeding import numpy_generator
from kwsctl.verification import model, voiceprint
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import UserTrials, figures, warm_up

ENROLLED, TRIED = 5, 40


def cast_of_readers(readers: people_of.Spoken) -> Cast:
    """Parts the windows of each reader: most to learn from, two for the warm-up, two to test."""
    rows: dict[str, list[int]] = {"train": [], "warm_up": [], "test": []}
    for name in np.unique(readers.speakers):
        own = numpy_generator(0, "windows", str(name)).permutation(np.flatnonzero(readers.speakers == name))
        rows["test"] += own[:2].tolist()
        rows["warm_up"] += own[2:4].tolist()
        rows["train"] += own[4:].tolist()
    heard = {
        share: Heard(readers.statistics[torch.tensor(some)], readers.speakers[np.array(some)])
        for share, some in rows.items()
    }
    return Cast(heard["train"], heard["warm_up"], heard["test"], heard["test"])


def trained(encoder: Bundle, readers: people_of.Spoken, rounds: int, share: float) -> Bundle:
    """Federates the readers, and puts the outputs of a window of each into the model as stored strangers."""
    parts = cast_of_readers(readers)
    one = played(encoder, parts, federation(VerificationOptions(warm=True), rounds, share), 0)
    lineage = {
        "data": ["librispeech_251"],
        "licences": ["CC BY 4.0 (LibriSpeech, Panayotov et al. 2015)"],
        "options": {"encoder": parameters.ENCODER, "method": "feduv", "rounds": rounds, "share": share},
    }
    made = one.session.bundle(one.state.weights, lineage)
    first = np.unique(parts.test.users, return_index=True)[1]
    cohort = voiceprint.outputs(made, parts.test.statistics[torch.from_numpy(first)])
    print("readers, further windows:", figures(one.trials(parts.test)).eer)
    return dataclasses.replace(made, weights={**made.weights, model.COHORT: cohort.half()})


def newcomers(embeddings: Tensor, people: people_of.Spoken, clips: int) -> list[UserTrials]:
    """Enrols everybody with five clips and tries clips of other words, `clips` of them at a time."""
    names, tried = np.unique(people.speakers), []
    unit = fn.normalize(embeddings, dim=1)
    words = numpy_generator(0, "enrolled words").permutation(np.unique(people.words))
    enrolled_words, other_words = words[: len(words) // 2], words[len(words) // 2 :]
    test = {}
    for name in names:
        draw = numpy_generator(0, "tried", str(name))
        rows = np.flatnonzero((people.speakers == name) & np.isin(people.words, other_words))
        test[name] = draw.permutation(rows)[: TRIED * clips].reshape(-1, clips)
    for name in names:
        draw = numpy_generator(0, "enrolled", str(name))
        own = np.flatnonzero((people.speakers == name) & np.isin(people.words, enrolled_words))
        z = unit[torch.from_numpy(draw.permutation(own)[:ENROLLED])]
        template = fn.normalize(z.sum(0), dim=0)
        left_out = np.array([float(fn.cosine_similarity(one, z.sum(0) - one, dim=0)) for one in z])
        scores = {other: (unit @ template).double().numpy()[rows].mean(1) for other, rows in test.items()}
        others = np.concatenate([found for other, found in scores.items() if other != name])
        tried.append(UserTrials(str(name), scores[name], others, warm_up(left_out, 0.9)))
    return tried


def main() -> None:
    """Trains, writes, and prints one JSON object of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/pretrained/any-voice.safetensors"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    home, encoder = home_folder(asked.home), bundle.load(parameters.shipped(parameters.ENCODER))
    kept = functools.partial(people_of.kept, home / "bench", encoder=encoder)
    readers = kept(prepared(asked.readers, home, rate_hz=16000), make=people_of.readers)
    people = kept(prepared(asked.people, home, rate_hz=16000), make=people_of.spoken)
    made = trained(encoder, readers, asked.rounds, asked.share)
    made.save(asked.out)
    tables = {
        "any-voice": voiceprint.outputs(made, people.statistics),
        "any-word's speaker embedding": people.statistics @ encoder.weights["voice.project.weight"].T,
    }
    found = {
        f"{name}, {clips} at a time": dataclasses.asdict(figures(newcomers(table, people, clips)))
        for name, table in tables.items()
        for clips in (1, 3)
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
