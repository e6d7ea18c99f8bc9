"""The rounds of a federation, one after the other, with a checkpoint after each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.federated import accountant
from kwsctl.federated.held_out import figure_of
from kwsctl.federated.session import Session
from kwsctl.federated.state import RoundFacts, State, save
from kwsctl.federated.topologies.star import delta_of, spent
from kwsctl.options import from_mapping
from kwsctl.progress import Progress, silent

TOPOLOGIES = "kwsctl.federated.topologies"
Advance = Callable[[Session, State], tuple[State, RoundFacts]]
"""Plays one round."""


def play(
    session: Session,
    state: State,
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    advance: Advance | None = None,
) -> State:
    """Plays the rounds that are left.

    Args:
        session: what does not change.
        state: where to go on.
        checkpoint: written after every round, if given.
        progress: counts rounds.
        advance: plays one round; by default the topology, in this process.

    Returns:
        The state after the last round.

    Raises:
        InputError: the budget of privacy does not reach for one more round.
    """
    options = session.options
    advance = advance or _topology(session)
    while state.number < options.rounds:
        _check_budget(session, state.number + 1)
        state, facts = advance(session, state)
        due = state.number % options.evaluate_every == 0 or state.number == options.rounds
        if due and (session.voices is not None or len(session.corpus.held_out)):
            facts = dataclasses.replace(facts, figure=figure_of(session, state.weights))
        state = dataclasses.replace(state, log=(*state.log, _plain(facts)))
        if checkpoint is not None:
            save(state, session, checkpoint)
        progress(state.number, options.rounds, **_told(facts))
    return state


def _topology(session: Session) -> Advance:
    topology = registry.load(TOPOLOGIES, session.options.topology)
    how = from_mapping(topology.Options, session.options.topology_options)
    return lambda session, state: topology.advance(session, state, how)


def _plain(facts: RoundFacts) -> dict[str, Any]:
    """Gives facts as JSON has them, so that a resumed run holds the same."""
    return cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(facts))))


def _check_budget(session: Session, rounds: int) -> None:
    """Refuses a round that would go beyond the budget: by the quick bound, then by the tight one."""
    budget = session.options.privacy.budget
    quick = spent(session, rounds)
    if not budget or quick is None or quick <= budget:
        return
    spent_at_most = tight(session, rounds)
    if spent_at_most > budget:
        raise InputError(
            f"Round {rounds} would spend epsilon = {spent_at_most:.2f} of a budget of {budget:g}.",
            f"Use --rounds {rounds - 1}, more privacy.noise, or a smaller attendance.share.",
        )


def tight(session: Session, rounds: int) -> float:
    """Gives epsilon after some rounds, as tight as it can be counted."""
    how, attendance = session.options.privacy, session.options.attendance
    return accountant.epsilon(how.noise, attendance.share, rounds, delta_of(session), attendance.sampling)


def _told(facts: RoundFacts) -> dict[str, str | float]:
    told: dict[str, str | float] = {"clients": f"{facts.answered}/{facts.asked}"}
    if facts.loss is not None:
        told["loss"] = facts.loss
    if facts.figure is not None:
        told["held out"] = f"{facts.figure:.2%}"
    if facts.refused or facts.left_out:
        told["refused"] = str(len(facts.refused) + len(facts.left_out))
    if facts.epsilon is not None:
        told["epsilon"] = f"{facts.epsilon:.2f}"
    return told
