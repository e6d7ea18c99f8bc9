"""What the shared weights are worth to speakers who took no part, and personal ones to those who did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.evaluation import fairness, intervals
from kwsctl.federated.session import Session
from kwsctl.federated.state import State
from kwsctl.learning import validation
from kwsctl.seeding import numpy_generator

BATCH = 512


@dataclass(frozen=True)
class HeldOut:
    """Figures on held-out speakers.

    Attributes:
        figure: accuracy; of a wake word, average precision.
        n: clips.
        ci95: interval over speakers; of a wake word the same number twice.
        per_speaker: share of right answers, worst first.
        worst_decile: mean of the worst tenth of the speakers; None for fewer than two.
    """

    figure: float
    n: int
    ci95: tuple[float, float]
    per_speaker: tuple[fairness.SpeakerRate, ...] = ()
    worst_decile: float | None = None


def logits_of(session: Session, weights: Tensor) -> Tensor:
    """Gives [M, L] logits of held-out clips by trained weights [P']."""
    return torch.cat(
        [session.resident.logits(weights, part) for part in torch.split(session.held_out, BATCH)]
    )


def figure_of(session: Session, shared: Tensor) -> float:
    """Gives the figure that rounds are compared by."""
    if session.voices is not None:
        return session.voices.figure(lambda inputs: session.resident.logits(session.complete(shared), inputs))
    logits = logits_of(session, session.complete(shared))
    found = validation.compare_by(session.base.task, logits, session.corpus.held_out.target)
    return float(next(iter(found.values())))


def right_answers(session: Session, weights: Tensor) -> NDArray[np.float64]:
    """Gives [M] 1 where the answer to a held-out clip is right."""
    logits = logits_of(session, weights)
    return (logits.argmax(1) == session.corpus.held_out.target).double().numpy()


@dataclass(frozen=True)
class OwnFigures:
    """What clients have of the model on clips that they kept back; a word's repetitions are of one sitting.

    Attributes:
        shared: mean accuracy over clients, with the shared weights alone.
        personal: the same with each client's personal layers.
        worst_shared: of the client that fares worst.
        worst_personal: of the client that fares worst.
        clients: how many were measured.
        n: clips.
    """

    shared: float
    personal: float
    worst_shared: float
    worst_personal: float
    clients: int
    n: int


def measure_own(session: Session, state: State) -> OwnFigures | None:
    """Measures the model on clips that clients kept back; None if there are none, or for a wake word."""
    there = [client for client in session.clients if len(client.kept_back)]
    if not there or session.base.task != "keywords":
        return None
    shared = session.complete(state.weights)
    rates: dict[str, list[float]] = {"shared": [], "personal": []}
    for client in there:
        rows = torch.from_numpy(client.kept_back)
        own = state.devices.get(client.name, {}).get("personal")
        for name, weights in (("shared", shared), ("personal", session.complete(state.weights, own))):
            said = session.resident.logits(weights, session.as_they_are(rows)).argmax(1)
            rates[name].append(float((said == session.corpus.train.target[rows]).double().mean()))
    n = sum(len(client.kept_back) for client in there)
    means = {name: float(np.mean(own)) for name, own in rates.items()}
    return OwnFigures(
        means["shared"], means["personal"], min(rates["shared"]), min(rates["personal"]), len(there), n
    )


def measure(session: Session, shared: Tensor) -> HeldOut:
    """Measures shared weights on held-out speakers.

    Args:
        session: what does not change.
        shared: [P].

    Returns:
        Figures with an interval by bootstrap over speakers.
    """
    figure, n = figure_of(session, shared), len(session.corpus.held_out)
    if session.base.task != "keywords":
        return HeldOut(figure, n, (figure, figure))
    right = right_answers(session, session.complete(shared))
    speakers = session.corpus.held_out.speakers
    draw = numpy_generator(session.seed, "bootstrap")
    ci = intervals.bootstrap(right, speakers, draw)
    rows = fairness.per_speaker(right, speakers)
    try:
        worst: float | None = fairness.worst_decile(rows).rate
    except InputError:
        worst = None
    return HeldOut(figure, n, (ci.low, ci.high), rows, worst)
