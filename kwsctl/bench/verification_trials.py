"""Trains one way of verification with several seeds, each with other people left out, and tries it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.federated.attendance import Attendance
from kwsctl.federated.options import FederateOptions, Local
from kwsctl.federated.rounds import play
from kwsctl.federated.session import Session
from kwsctl.federated.state import State, first_state
from kwsctl.federated.verification import (
    Cast,
    Heard,
    open_voices,
    outputs_of,
    thresholds,
    trials,
    voices_of,
)
from kwsctl.progress import Progress, silent
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import UserTrials

SELDOM = 10**9


@dataclass(frozen=True, eq=False)
class Played:
    """One federation.

    Attributes:
        session: what did not change.
        state: its end.
        parts: the clips.
        limits: threshold of each user.
    """

    session: Session
    state: State
    parts: Cast
    limits: Mapping[str, float]

    def outputs(self, heard: Heard) -> Tensor:
        """Gives [N, L] what the model says of clips."""
        return outputs_of(self.session, self.state.weights, heard)

    def trials(self, own: Heard, others: Heard | None = None) -> list[UserTrials]:
        """Gives the trials of all users with their own clips, and those of others."""
        strange = None if others is None else (self.outputs(others), others.users)
        return trials(
            voices_of(self.session), self.outputs(own), own.users, others=strange, limits=self.limits
        )


def federation(how: VerificationOptions, rounds: int, share: float = 1.0) -> FederateOptions:
    """Makes the options of a federation of users; all that is compared differs in `how` alone."""
    return FederateOptions(
        rounds=rounds,
        part="head",
        aggregator="mean",
        task="verification",
        verification=how,
        local=Local(batch_size=10),
        attendance=Attendance(share=share),
        evaluate_every=SELDOM,
    )


def played(
    encoder: Bundle, parts: Cast, options: FederateOptions, seed: int, progress: Progress = silent
) -> Played:
    """Plays a federation to its end.

    Args:
        encoder: its trunk is frozen.
        parts: the clips.
        options: how.
        seed: of everything random.
        progress: counts rounds.

    Returns:
        Session and end.
    """
    session = open_voices(encoder, parts, options, seed)
    begun = first_state(session)
    # What is compared is compared at the end.
    state = play(session, begun, progress=progress)
    return Played(session, state, parts, thresholds(session, state.weights, parts))


def in_groups(users: NDArray[np.str_], count: int) -> list[NDArray[np.int64]]:
    """Groups clips by user, so many each; what is left over is not used."""
    found = []
    for name in np.unique(users):
        own = np.flatnonzero(users == name)
        found += [own[i : i + count] for i in range(0, len(own) - count + 1, count)]
    return found


def pooled(one: Played, heard: Heard, count: int) -> list[UserTrials]:
    """Takes clips of one person together, by the mean of their scores.

    Args:
        one: a federation.
        heard: clips of users.
        count: so many at a time.

    Returns:
        Trials of each user.
    """
    voices, outputs = voices_of(one.session), one.outputs(heard)
    groups = in_groups(heard.users, count)
    names = np.array([heard.users[group[0]] for group in groups])
    found = []
    for name, place in voices.users.items():
        scores = voices.method.score(outputs, voices.targets[place], place).double().numpy()
        means = np.array([scores[group].mean() for group in groups])
        found.append(UserTrials(name, means[names == name], means[names != name], one.limits[name]))
    return found


def every(
    casts: Sequence[Cast], encoder: Bundle, how: VerificationOptions, rounds: int, after: Callable[[], None]
) -> list[Played]:
    """Plays the same federation with every cast; the place of a cast is the seed."""
    found = []
    for seed, parts in enumerate(casts):
        found.append(played(encoder, parts, federation(dataclasses.replace(how), rounds), seed))
        after()
    return found
