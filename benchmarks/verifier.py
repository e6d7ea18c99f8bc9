"""Trains the shipped verification model `any-voice`, and tries it on people whom it never heard.

python benchmarks/verifier.py --people arabic/manifest.csv --readers librispeech_251/manifest.csv

The 18 speakers of the manifest's split `train` are the users of a federation (FedUV, codes of 127 bits), who
say 40 words; the trunk is that of the shipped encoder `any-word` and stays as it is. How people who join
later are told apart is tried on everybody: in each of four folds other 18 people are the users and the
remaining six join, with five clips; clips of other words are tried, against each other and against readers
whom the trunk never heard. Beside it stands the speaker embedding of `any-word`, with the same clips.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from kwsctl.storage import write_text
from kwsctl.verification import model, voiceprint
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import UserTrials, figures, warm_up

ENROLLED, TRIED = 5, 40
KNOWN_READERS = 160
"""So many readers the trunk has heard: stored strangers. The others are impostors."""
HELD_BACK, LEARNED, NEWCOMERS = 20, 100, 6


def cast_of(people: people_of.Spoken, users: NDArray[np.str_]) -> Cast:
    """Parts the clips of each user: most to learn from, some for the warm-up, some to test."""
    rows: dict[str, list[int]] = {"train": [], "warm_up": [], "test": []}
    for name in users:
        own = numpy_generator(0, "clips", str(name)).permutation(np.flatnonzero(people.speakers == name))
        rows["test"] += own[:HELD_BACK].tolist()
        rows["warm_up"] += own[HELD_BACK : 2 * HELD_BACK].tolist()
        rows["train"] += own[2 * HELD_BACK :][:LEARNED].tolist()
    heard = {
        share: Heard(people.statistics[torch.tensor(some)], people.speakers[np.array(some)])
        for share, some in rows.items()
    }
    return Cast(heard["train"], heard["warm_up"], heard["test"], heard["test"])


def trained(
    encoder: Bundle, parts: Cast, strangers: Tensor, rounds: int, share: float
) -> tuple[Bundle, list[UserTrials]]:
    """Federates users, and puts outputs of strangers into the model; tells how users are told apart, too."""
    one = played(encoder, parts, federation(VerificationOptions(warm=True), rounds, share), 0)
    lineage = {
        "data": ["arabic_speech_commands, split train", "librispeech_251: stored strangers"],
        "licences": [
            "CC BY 4.0 (Arabic Speech Commands, Ghandoura et al. 2021)",
            "CC BY 4.0 (LibriSpeech, Panayotov et al. 2015)",
        ],
        "speakers": sorted(set(parts.train.users.tolist())),
        "options": {"encoder": parameters.ENCODER, "method": "feduv", "rounds": rounds, "share": share},
    }
    made = one.session.bundle(one.state.weights, lineage)
    cohort = voiceprint.outputs(made, strangers)
    weights = {**made.weights, model.COHORT: cohort.half()}
    return dataclasses.replace(made, weights=weights), one.trials(parts.test)


CARD = """# any-voice

Tells who speaks: a head over the trunk of `any-word`, {size_kb:.0f} KB, trained by FedUV (codes of 127 bits,
{rounds} rounds of all users, begun with the speaker embedding of `any-word`). `kwsctl verify`,
`kwsctl enroll --policy only` and `kwsctl adapt` use it.

- Data: {licences}.
- Users of the federation: the {users} speakers of the split `train`, 100 clips each of 40 words, in Arabic.
- Made by: `python benchmarks/verifier.py --people ARABIC --readers LIBRISPEECH`, seed 0.
- sha256: `{sha256}`

People who join later with five clips, tried by clips of other words: 24 people in four folds, each time
with a model that learned from the other 18 in the same way. Impostors are the five others of the fold, or
91 readers whom the trunk never heard. EER, and the share of others let in where 80 % of own clips are (95 %
over people):

| Model, impostors, clips at a time | At their threshold: TPR, FPR | FPR at TPR 80 % | EER | Own | Others |
|---|---|---|---|---|---|
{rows}

What that does not show: one language, one sitting each, and users and newcomers were recorded in the same
way. A good recording of a voice is accepted: there is no test of liveness. The bundle is Apache-2.0;
attribution as above.
"""


def card(made: Bundle, path: Path, found: Mapping[str, Any]) -> str:
    """Writes what the model is, what it reaches, and what not."""

    def share(value: Mapping[str, float]) -> str:
        return f"{value['mean']:.1%} ({value['low']:.1%} to {value['high']:.1%})"

    rows = [
        f"| {name} | {f['warm_up_tpr']['mean']:.1%}, {f['warm_up_fpr']['mean']:.1%} "
        f"| {share(next(iter(f['fpr'].values())))} | {share(f['eer'])} | {f['own']:,} | {f['others']:,} |"
        for name, f in found.items()
    ]
    return CARD.format(
        size_kb=path.stat().st_size / 1000,
        rounds=made.lineage["options"]["rounds"],
        licences="; ".join(made.lineage["licences"]),
        users=len(made.lineage["speakers"]),
        sha256=made.sha256,
        rows="\n".join(rows),
    )


def newcomers(
    embeddings: Tensor, people: people_of.Spoken, impostors: Tensor, clips: int
) -> dict[str, list[UserTrials]]:
    """Enrols everybody with five clips and tries clips of other words, `clips` of them at a time.

    Args:
        embeddings: [N, E] of the clips of people.
        people: who says what.
        impostors: [M, E] of readers.
        clips: so many are taken together.

    Returns:
        Trials against one another, and against readers.
    """
    names = np.unique(people.speakers)
    tried: dict[str, list[UserTrials]] = {"each other": [], "readers": []}
    unit, strange = fn.normalize(embeddings, dim=1), fn.normalize(impostors, dim=1)
    strange = strange[: len(strange) // clips * clips]
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
        limit = warm_up(left_out, 0.9)
        scores = {other: (unit @ template).double().numpy()[rows].mean(1) for other, rows in test.items()}
        others = np.concatenate([found for other, found in scores.items() if other != name])
        by_readers = (strange @ template).double().numpy().reshape(-1, clips).mean(1)
        tried["each other"].append(UserTrials(str(name), scores[name], others, limit))
        tried["readers"].append(UserTrials(str(name), scores[name], by_readers, limit))
    return tried


def main() -> None:
    """Trains, writes model and card, and prints one JSON object of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/pretrained/any-voice.safetensors"))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    home, encoder = home_folder(asked.home), bundle.load(parameters.shipped(parameters.ENCODER))
    kept = functools.partial(people_of.kept, home / "bench", encoder=encoder)
    store = prepared(asked.people, home, rate_hz=16000)
    people = kept(store, make=people_of.spoken)
    readers = kept(prepared(asked.readers, home, rate_hz=16000), make=people_of.readers)
    splits = {clip.speaker: clip.split for clip in store.clips}
    names = np.unique(people.speakers)
    known = np.isin(readers.speakers, np.unique(readers.speakers)[:KNOWN_READERS])
    first_windows = np.unique(readers.speakers, return_index=True)[1]
    strangers = readers.statistics[torch.from_numpy(first_windows[:KNOWN_READERS])]
    impostors = readers.statistics[torch.from_numpy(~known)]
    project = encoder.weights["voice.project.weight"].T

    def of(users: NDArray[np.str_]) -> tuple[Bundle, list[UserTrials]]:
        return trained(encoder, cast_of(people, users), strangers, asked.rounds, asked.share)

    trials: dict[str, list[UserTrials]] = {}
    for later in people_of.folds(people, NEWCOMERS, 0):
        made, among_users = of(names[~np.isin(names, later)])
        trials.setdefault("users of the federation, further clips", []).extend(among_users)
        chosen = np.isin(people.speakers, later)
        late = people_of.Spoken(
            people.statistics[torch.from_numpy(chosen)],
            people.words[chosen],
            people.speakers[chosen],
            people.channels,
        )
        for name, embed in {
            "any-voice": functools.partial(voiceprint.outputs, made),
            "speaker embedding of any-word": lambda statistics: statistics @ project,
        }.items():
            for clips in (1, 3):
                some = newcomers(embed(late.statistics), late, embed(impostors), clips)
                for kind, one in some.items():
                    trials.setdefault(f"{name}: {kind}, {clips}", []).extend(one)
    found = {name: dataclasses.asdict(figures(some)) for name, some in trials.items()}
    made, _ = of(np.array([name for name in names if splits[str(name)] == "train"]))
    made.save(asked.out)
    write_text(asked.out.with_suffix(".md"), card(made, asked.out, found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
