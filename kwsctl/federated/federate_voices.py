"""Plays the rounds of a federation of users, sets their thresholds, and writes the verification model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl import __version__
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.features.augmentation import middle
from kwsctl.federated.corpus import Clips, gather
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.rounds import Advance, play
from kwsctl.federated.session import Session
from kwsctl.federated.state import State, first_state, resumed
from kwsctl.federated.topologies.star import delta_of, spent
from kwsctl.federated.verification import (
    Cast,
    Heard,
    open_voices,
    outputs_of,
    thresholds,
    trials,
    voices_of,
)
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.verification import statistics
from kwsctl.verification.thresholds import Figures, figures

KEPT_BACK = 0.4  # of a user's clips: half for the warm-up, half to test
SHARES = ("train", "warm-up", "test")


@dataclass(frozen=True)
class FederatedVoices:
    """What a federation of users made.

    Attributes:
        bundle: the verification model.
        sha256: its identity.
        method: file in `verification/methods/`.
        rounds: how many were played.
        users: who took part.
        shared: how many numbers were shared, P.
        bytes_up: sent by all users in all rounds.
        bytes_down: sent to all users.
        epsilon: spent, by the quick bound; None without noise.
        delta: with which probability that may fail; None without noise.
        training: figures on the clips that were learned from.
        held_out: figures on further clips of the users.
        unseen: other people's clips against the users.
        thresholds: middle and extremes of the users' thresholds.
        per_round: what happened in each round.
        resumed_from: rounds that an earlier, interrupted run had done.
        warnings: what to know before trusting it.
    """

    bundle: Path
    sha256: str
    method: str
    rounds: int
    users: int
    shared: int
    bytes_up: int
    bytes_down: int
    epsilon: float | None
    delta: float | None
    training: Figures
    held_out: Figures
    unseen: Figures
    thresholds: tuple[float, float, float]
    per_round: tuple[Mapping[str, Any], ...]
    resumed_from: int
    warnings: tuple[str, ...]


def federate_voices(
    store: ClipStore,
    encoder: Bundle,
    out: Path,
    options: FederateOptions,
    *,
    seed: int = 0,
    must_resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    advance_of: Callable[[Session], Advance] | None = None,
    progress: Progress = silent,
) -> FederatedVoices:
    """Trains verification on many simulated devices; a killed run goes on and ends with the same bytes.

    Args:
        store: clips with speakers; those in the split `train` take part, those in `val` or `test` do not.
        encoder: its trunk is frozen.
        out: the verification model to write.
        options: how.
        seed: of everything random.
        must_resume: insist on a checkpoint of the same run.
        provenance: facts for the lineage.
        advance_of: gives what plays a round of a session; by default its topology, in this process.
        progress: counts windows, then rounds.

    Returns:
        What was made, and its figures.

    Raises:
        InputError: options that do not go together, too few users, or nothing to resume.
    """
    parts = cast_of(store, encoder, options, seed, progress)
    session = open_voices(encoder, parts, options, seed)
    checkpoint = out.with_suffix(".resume.safetensors")
    state = resumed(session, checkpoint, must=must_resume)
    begun = 0 if state is None else state.number
    state = play(
        session,
        state or first_state(session),
        checkpoint=checkpoint,
        progress=progress,
        advance=None if advance_of is None else advance_of(session),
    )
    result = _finish(session, state, parts, out, begun, provenance or {})
    checkpoint.unlink(missing_ok=True)
    return result


def cast_of(
    store: ClipStore, encoder: Bundle, options: FederateOptions, seed: int, progress: Progress = silent
) -> Cast:
    """Reads the clips of a store and parts them: to learn from, for the warm-up, to test, and of others.

    Args:
        store: clips with speakers and splits.
        encoder: its trunk hears them.
        options: how many clips are joined, and what is kept back.
        seed: of who keeps back what.
        progress: counts windows.

    Returns:
        The clips of all users for each purpose.
    """
    corpus = gather(store, dataclasses.replace(encoder, task="wake"), progress=progress)
    train, unseen = (_heard(encoder, clips, corpus.n_frames) for clips in (corpus.train, corpus.held_out))
    kept_back = options.population.kept_back or KEPT_BACK
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SHARES}
    for name in np.unique(train.users):
        own = numpy_generator(seed, "purposes", str(name)).permutation(np.flatnonzero(train.users == name))
        kept = max(2, round(kept_back * len(own)))
        if len(own) <= kept:  # too few to take part
            continue
        for share, some in zip(SHARES, (own[kept:], own[: kept // 2], own[kept // 2 : kept]), strict=True):
            rows[share].append(np.sort(some))
    join = _joiner(options, statistics.channels_of(encoder), seed)
    made = [join(_rows(train, np.concatenate(rows[share])), share) for share in SHARES]
    return Cast(made[0], made[1], made[2], join(unseen, "unseen"))


def _joiner(options: FederateOptions, channels: tuple[int, ...], seed: int) -> Any:
    """Gives what joins clips of one user, if they are to be joined."""
    count, clips = options.verification.words, options.verification.clips

    def join(heard: Heard, purpose: str) -> Heard:
        if count < 2:
            return heard
        draw, parts, names = numpy_generator(seed, "joined", purpose), [], []
        for name in np.unique(heard.users):
            own = np.flatnonzero(heard.users == name)
            chosen = [draw.choice(own, count, replace=len(own) < count) for _ in range(clips)]
            parts.append(statistics.pooled(heard.statistics[torch.tensor(np.stack(chosen))], channels))
            names += [str(name)] * clips
        return Heard(torch.cat(parts), np.array(names))

    return join


def _heard(encoder: Bundle, clips: Clips, n_frames: int) -> Heard:
    named = np.array([speaker is not None for speaker in clips.speakers])
    parts = [
        statistics.of_features(encoder, middle(clips.power[rows].float(), n_frames))
        for rows in torch.split(torch.from_numpy(np.flatnonzero(named)), statistics.BATCH)
    ]
    return Heard(torch.cat(parts), np.array([s for s in clips.speakers if s is not None]))


def _rows(heard: Heard, rows: NDArray[np.int64]) -> Heard:
    return Heard(heard.statistics[torch.from_numpy(rows)], heard.users[rows])


def measured(session: Session, state: State, parts: Cast) -> tuple[Figures, Figures, Figures]:
    """Measures shared weights at the users' thresholds.

    Args:
        session: of `open_voices`.
        state: after the last round.
        parts: clips.

    Returns:
        Figures on what was learned from, on further clips of the users, and with strangers' clips against
        further clips of the users.
    """
    voices, weights = voices_of(session), state.weights
    limits = thresholds(session, weights, parts)
    test = outputs_of(session, weights, parts.test)
    strange = (outputs_of(session, weights, parts.unseen), parts.unseen.users)
    learned = outputs_of(session, weights, parts.train)
    return (
        figures(trials(voices, learned, parts.train.users, limits=limits)),
        figures(trials(voices, test, parts.test.users, limits=limits)),
        figures(trials(voices, test, parts.test.users, others=strange, limits=limits)),
    )


def _finish(
    session: Session, state: State, parts: Cast, out: Path, begun: int, provenance: Mapping[str, Any]
) -> FederatedVoices:
    options = session.options
    lineage = {
        **provenance,
        "kwsctl": __version__,
        "made_by": {"method": "federate", **to_mapping(options)},
        "seed": session.seed,
        "clients": len(session.clients),
    }
    training, held_out, unseen = measured(session, state, parts)
    sha256 = session.bundle(state.weights, lineage).save(out)
    limits = np.array(sorted(thresholds(session, state.weights, parts).values()))
    noisy = bool(options.privacy.noise)
    return FederatedVoices(
        bundle=out,
        sha256=sha256,
        method=options.verification.method,
        rounds=state.number,
        users=len(session.clients),
        shared=session.layout.size,
        bytes_up=sum(line["bytes_up"] for line in state.log),
        bytes_down=sum(line["bytes_down"] for line in state.log),
        epsilon=spent(session, state.number) if noisy else None,
        delta=delta_of(session) if noisy else None,
        training=training,
        held_out=held_out,
        unseen=unseen,
        thresholds=(float(limits[0]), float(np.median(limits)), float(limits[-1])),
        per_round=state.log,
        resumed_from=begun,
        warnings=tuple(_warnings(session)),
    )


def _warnings(session: Session) -> Iterator[str]:
    voices, options = voices_of(session), session.options
    if voices.method.NEEDS_ROWS:
        yield (
            f"{options.verification.method} shows the server an embedding of every user. feduv shares none."
        )
    elif not options.secure.on:
        yield (
            "A single update tells the server most bits of its user's code. "
            "Use --set secure.on=true --aggregator mean, so that it sees sums only."
        )
