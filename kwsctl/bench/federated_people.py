"""The clients of `kwsctl bench federated`: people in folds, and a crowd of simulated identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.augmentation import stretch
from kwsctl.features.logmel import compress
from kwsctl.federated.corpus import Clips, Corpus
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.start import prepare, with_words
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.learning.noise import coloured_noise
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator


@dataclass(frozen=True, eq=False)
class Fold:
    """Clients and held-out speakers.

    Attributes:
        base: the encoder, with a head of zeros for the words.
        corpus: clips of both, with their embeddings.
    """

    base: Bundle
    corpus: Corpus


def folds(
    store: ClipStore, encoder: Bundle, count: int, seed: int, progress: Progress = silent
) -> list[Fold]:
    """Splits all speakers into folds; each is held out once, all others are clients.

    Args:
        store: clips of people.
        encoder: a bundle without labels.
        count: how many folds.
        seed: of who is in which.
        progress: counts windows.

    Returns:
        The folds.

    Raises:
        InputError: fewer than two folds, or fewer speakers than that.
    """
    base, corpus = prepare(store, FederateOptions(part="head"), encoder, seed, progress)
    power = torch.cat([corpus.train.power, corpus.held_out.power])
    target = torch.cat([corpus.train.target, corpus.held_out.target])
    speakers = np.array([*corpus.train.speakers, *corpus.held_out.speakers])
    embeddings = {
        marked: torch.cat(
            [
                corpus.embeddings(base, "train", triggered=marked),
                corpus.embeddings(base, "held_out", triggered=marked),
            ]
        )
        for marked in (False, True)
    }
    names = numpy_generator(seed, "folds").permutation(np.unique(speakers))
    if not 2 <= count <= len(names):
        raise InputError(f"{len(names)} speakers cannot make {count} folds.", "Use 2 to that many.")
    made = []
    for part in np.array_split(names, count):
        out = np.isin(speakers, part)
        rows = {"train": np.flatnonzero(~out), "held_out": np.flatnonzero(out)}
        known = {
            (base.sha256, which, marked): table[own]
            for which, own in rows.items()
            for marked, table in embeddings.items()
        }
        parts = {which: Clips(power[own], target[own], speakers[own].tolist()) for which, own in rows.items()}
        made.append(Fold(base, Corpus(parts["train"], parts["held_out"], corpus.n_frames, known)))
    return made


def fewer_clients(fold: Fold, count: int) -> Fold:
    """Gives a fold with the first clients only, in the order of their names."""
    names = sorted({name for name in fold.corpus.train.speakers if name})[:count]
    return _with(fold, np.isin(np.array(fold.corpus.train.speakers), names), None)


def inner(fold: Fold, every: int = 5) -> Fold:
    """Gives a fold of the clients alone, every fifth of whom is held out: to choose rates on."""
    names = sorted({name for name in fold.corpus.train.speakers if name})
    out = np.isin(np.array(fold.corpus.train.speakers), names[::every])
    return _with(fold, ~out, out)


def _with(fold: Fold, train: NDArray[np.bool_], held_out: NDArray[np.bool_] | None) -> Fold:
    """Gives a fold whose clients, and perhaps held-out people, are some of the clients of another."""
    corpus = fold.corpus
    rows = {"train": np.flatnonzero(train)}
    rows |= {} if held_out is None else {"held_out": np.flatnonzero(held_out)}
    clips = {
        part: Clips(
            corpus.train.power[own] if len(corpus.train.power) else corpus.train.power,
            corpus.train.target[own],
            [corpus.train.speakers[int(n)] for n in own],
        )
        for part, own in rows.items()
    }
    known = dict(corpus.known)
    for (sha, part, marked), table in corpus.known.items():
        if part == "train":
            known |= {(sha, which, marked): table[own] for which, own in rows.items()}
    kept = clips.get("held_out", corpus.held_out)
    return Fold(fold.base, Corpus(clips["train"], kept, corpus.n_frames, known))


def fewer_words(fold: Fold, count: int) -> Fold:
    """Gives a fold with clips of the first words only."""
    corpus = fold.corpus
    base = with_words(fold.base, fold.base.labels[:count])
    clips = {"train": corpus.train, "held_out": corpus.held_out}
    rows = {part: np.flatnonzero(own.target.numpy() < count) for part, own in clips.items()}
    said = {
        part: Clips(
            own.power[rows[part]] if len(own.power) else own.power,
            own.target[rows[part]],
            [own.speakers[int(n)] for n in rows[part]],
        )
        for part, own in clips.items()
    }
    known = {
        (base.sha256, part, marked): table[rows[part]] for (_, part, marked), table in corpus.known.items()
    }
    return Fold(base, Corpus(said["train"], said["held_out"], corpus.n_frames, known))


def crowd(fold: Fold, clients: int, clips: int, seed: int, progress: Progress = silent) -> Fold:
    """Makes simulated identities: clips of a fold's speakers in other voices, paces and noises.

    They are variations of few people: a test of scale, not of how different a thousand people are.

    Args:
        fold: real clients, and held-out speakers, who stay as they are.
        clients: how many identities.
        clips: of each; drawn from those of one speaker.
        seed: of who is like whom, and how.
        progress: counts identities.

    Returns:
        A fold with as many clients; of their clips only embeddings are kept.
    """
    train = fold.corpus.train
    by_speaker = _rows_by_speaker(train.speakers)
    network = fold.base.model()
    noise = coloured_noise(fold.base.features, fold.base.clip_s, seed)
    tables, rows, names = [], [], []
    for number in range(clients):
        draw = numpy_generator(seed, "identity", number)
        own = by_speaker[number % len(by_speaker)]
        chosen = torch.from_numpy(draw.choice(own, min(clips, len(own)), replace=False))
        power = _as_identity(train.power[chosen].float(), fold.corpus.n_frames, noise, draw)
        tables.append(embed(network, compress(power)))
        rows.append(chosen)
        names += [f"identity-{number:04d}"] * len(chosen)
        progress(number + 1, clients)
    nothing = torch.zeros(0)
    known = dict(fold.corpus.known) | {(fold.base.sha256, "train", False): torch.cat(tables)}
    known.pop((fold.base.sha256, "train", True), None)
    made = Clips(nothing, train.target[torch.cat(rows)], names)
    return Fold(fold.base, Corpus(made, fold.corpus.held_out, fold.corpus.n_frames, known))


def _rows_by_speaker(speakers: Sequence[str | None]) -> list[NDArray[np.int64]]:
    named = np.array([name or "" for name in speakers])
    return [np.flatnonzero(named == name) for name in np.unique(named) if name]


def _as_identity(power: Tensor, n_frames: int, noise: Tensor, draw: np.random.Generator) -> Tensor:
    """Gives clips [B, F, T'] the voice, pace and noise of one identity, [B, F, T]."""
    count = len(power)
    tempo, warp = 1 + draw.uniform(-0.12, 0.12), 1 + draw.uniform(-0.1, 0.1)
    shift = torch.from_numpy(draw.integers(-5, 6, count))
    heard = stretch(power, n_frames, torch.full((count,), tempo), torch.full((count,), warp), shift)
    around = noise[int(draw.integers(len(noise)))][None]
    snr_db = draw.uniform(8.0, 30.0)
    level = heard.sum(1).mean(1) / around.sum(1).mean().clamp_min(1e-12) * 10 ** (-snr_db / 10)
    return heard + level[:, None, None] * around
