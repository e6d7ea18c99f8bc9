"""Plays one federation in every fold, and holds it against central and local training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.bench.federated_people import Fold
from kwsctl.evaluation import fairness, intervals
from kwsctl.federated import clients
from kwsctl.federated.federate import seldom_used
from kwsctl.federated.heads import learn_heads
from kwsctl.federated.held_out import right_answers
from kwsctl.federated.lessons import lesson
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.rounds import play
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import State, first_state
from kwsctl.options import from_mapping
from kwsctl.seeding import numpy_generator

CENTRAL_EPOCHS = 20
LOCAL_EPOCHS = 60


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what was tried.
        accuracy: of held-out speakers after the last round, with a 95 % interval over speakers.
        worst: mean of the worst tenth of the held-out speakers.
        curve: accuracy by round, mean over folds.
        rounds_to_target: the first round at 98 % of central training; None if it was not reached.
        bytes_up: of a client in a round in which it is asked, mean.
        bytes_down: the same down.
        facts: what else was found.
    """

    name: str
    accuracy: tuple[float, float, float]
    worst: float
    curve: tuple[float, ...] = ()
    rounds_to_target: int | None = None
    bytes_up: float = 0.0
    bytes_down: float = 0.0
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Played:
    """A federation in all folds.

    Attributes:
        sessions: one for each fold.
        states: their ends.
        right: [N] whether each held-out clip was answered right.
        speakers: [N] whose it is.
        cpu_s: CPU time of all folds, in s.
    """

    sessions: Sequence[Session]
    states: Sequence[State]
    right: NDArray[np.float64]
    speakers: Sequence[str | None]
    cpu_s: float


def session_of(fold: Fold, options: FederateOptions, seed: int) -> Session:
    """Opens a session in a fold."""
    target = fold.corpus.train.target.numpy()
    who = clients.populate(target, fold.corpus.train.speakers, options.population, seed)
    return open_session(fold.base, fold.corpus, who, options, seed)


def federated(where: Sequence[Fold], seed: int, **values: Any) -> Played:
    """Plays a federation of heads in every fold.

    Args:
        where: the folds.
        seed: of everything random.
        **values: options that differ from the default.

    Returns:
        How it ended.
    """
    options = from_mapping(
        FederateOptions, {"part": "head", "evaluate_every": 1, "aggregator": "mean", **values}
    )
    sessions, states, right, speakers = [], [], [], []
    began = time.process_time()
    for fold in where:
        session = session_of(fold, options, seed)
        state = play(session, first_state(session))
        sessions.append(session)
        states.append(state)
        right.append(right_answers(session, session.complete(state.weights)))
        speakers += list(fold.corpus.held_out.speakers)
    return Played(sessions, states, np.concatenate(right), speakers, time.process_time() - began)


def row_of(name: str, played: Played, target: float | None, seed: int, **facts: Any) -> Row:
    """Makes the line of a federation.

    Args:
        name: what was tried.
        played: how it ended.
        target: the accuracy to reach, measured in every round; None to leave that out.
        seed: of the bootstrap.
        **facts: what else was found.

    Returns:
        The line.
    """
    measured = [
        [line["figure"] for line in state.log if line["figure"] is not None] for state in played.states
    ]
    curve = np.mean(measured, axis=0)
    reached = np.flatnonzero(curve >= target) if target is not None else np.array([])
    asked = max(1, sum(line["asked"] for state in played.states for line in state.log))
    up, down = (
        sum(line[key] for state in played.states for line in state.log) / asked
        for key in ("bytes_up", "bytes_down")
    )
    plain = row_without_rounds(name, played.right, played.speakers, seed)
    return dataclasses.replace(
        plain,
        curve=tuple(round(float(value), 5) for value in curve),
        rounds_to_target=int(reached[0]) + 1 if len(reached) else None,
        bytes_up=up,
        bytes_down=down,
        facts={"cpu_s": played.cpu_s, **facts},
    )


def central(where: Sequence[Fold], seed: int) -> Row:
    """Trains heads on all clips of all clients together: what a server could do that had the recordings."""
    right, speakers = [], []
    for fold in where:
        session = session_of(
            fold, from_mapping(FederateOptions, {"part": "head", "aggregator": "mean"}), seed
        )
        rows = np.arange(len(fold.corpus.train))
        everybody = clients.Client("all", rows, np.ones(len(rows), dtype=np.bool_))
        plan = lesson(everybody, fold.corpus.train.target, 0, seed, epochs=CENTRAL_EPOCHS)
        learned = _heads(session, [plan])
        right.append(right_answers(session, learned[0]))
        speakers += list(fold.corpus.held_out.speakers)
    return row_without_rounds("central training", np.concatenate(right), speakers, seed)


def local_only(where: Sequence[Fold], seed: int) -> Row:
    """Trains a head on each client's clips alone; held-out speakers then hear the mean client's head."""
    right, speakers = [], []
    for fold in where:
        session = session_of(
            fold, from_mapping(FederateOptions, {"part": "head", "aggregator": "mean"}), seed
        )
        plans = [
            lesson(
                client, fold.corpus.train.target[torch.from_numpy(client.rows)], 0, seed, epochs=LOCAL_EPOCHS
            )
            for client in session.clients
        ]
        learned = _heads(session, plans)
        right.append(np.mean([right_answers(session, head) for head in learned], axis=0))
        speakers += list(fold.corpus.held_out.speakers)
    return row_without_rounds("local training only", np.concatenate(right), speakers, seed)


def own_accuracy(played: Played) -> dict[str, float]:
    """Gives the accuracy of the shared model on every client's own clips, mean over folds."""
    found: dict[str, list[float]] = {}
    for session, state in zip(played.sessions, played.states, strict=True):
        table = session.corpus.embeddings(session.base, "train")
        logits = session.resident.logits(session.complete(state.weights), table)
        right = (logits.argmax(1) == session.corpus.train.target).double().numpy()
        for client in session.clients:
            if not client.attacks:
                found.setdefault(client.name, []).append(float(right[client.rows].mean()))
    return {name: float(np.mean(rates)) for name, rates in found.items()}


def seldom(played: Played) -> dict[str, float]:
    """Names honest clients of which a robust aggregator took little, over all folds."""
    honest = {client.name for session in played.sessions for client in session.clients if not client.attacks}
    shares: dict[str, list[float]] = {}
    for state in played.states:
        for name, share in seldom_used(state).items():
            if name in honest:
                shares.setdefault(name, []).append(share)
    return {name: float(np.mean(own)) for name, own in sorted(shares.items())}


def _heads(session: Session, plans: Sequence[Any]) -> list[torch.Tensor]:
    starts = session.first.expand(len(plans), -1)
    learned = learn_heads(session.base.task, starts, session.n_labels, plans, session.inputs, session.work)
    return [one.weights for one in learned]


def row_without_rounds(
    name: str, right: NDArray[np.float64], speakers: Sequence[str | None], seed: int
) -> Row:
    """Makes the line of what was not federated: accuracy of held-out speakers, and of their worst tenth."""
    ci = intervals.bootstrap(right, speakers, numpy_generator(seed, "bootstrap"))
    worst = fairness.worst_decile(fairness.per_speaker(right, speakers)).rate
    return Row(name, (float(right.mean()), ci.low, ci.high), worst)
