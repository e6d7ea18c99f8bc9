"""`kwsctl federate`: plays rounds, keeps what a killed run needs, and writes the shared bundle."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from kwsctl import __version__, registry
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.federated import accountant, anomaly, clients, privacy, start
from kwsctl.federated.held_out import HeldOut, OwnFigures, figure_of, measure, measure_own
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import RoundFacts, State, first_state, resumed, save
from kwsctl.federated.topologies.star import delta_of, spent
from kwsctl.options import from_mapping, to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.storage import write_text

TOPOLOGIES = "kwsctl.federated.topologies"
SELDOM = 0.4


@dataclass(frozen=True)
class FederateResult:
    """What a federation made.

    Attributes:
        bundle: the model file.
        sha256: its identity.
        rounds: how many were played.
        clients: how many there are.
        shared: how many numbers were shared, P.
        per_round: what happened in each round.
        bytes_up: sent by all clients in all rounds.
        bytes_down: sent to all clients.
        epsilon: spent, as tight as it can be counted; None without noise.
        delta: with which probability that may fail; None without noise.
        held_out: figures on held-out speakers.
        own: figures on clips that clients kept back; None if they kept none.
        refused: in how many rounds each client was refused.
        barred: clients that are not asked any more, for what they sent.
        seldom_used: clients of which a robust aggregator took less than 40 % on average, and how much.
        log: the JSONL file with a line per round.
        resumed_from: rounds that an earlier, interrupted run had done.
        warnings: what to know before trusting the figures.
    """

    bundle: Path
    sha256: str
    rounds: int
    clients: int
    shared: int
    per_round: tuple[Mapping[str, Any], ...]
    bytes_up: int
    bytes_down: int
    epsilon: float | None
    delta: float | None
    held_out: HeldOut
    own: OwnFigures | None
    refused: Mapping[str, int]
    barred: tuple[str, ...]
    seldom_used: Mapping[str, float]
    log: Path
    resumed_from: int
    warnings: tuple[str, ...]


def federate(
    store: ClipStore,
    out: Path,
    options: FederateOptions,
    *,
    model: Bundle | None = None,
    seed: int = 0,
    resume: Literal["auto", "must", "never"] = "auto",
    provenance: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> FederateResult:
    """Trains one model on many simulated devices; a killed run goes on and ends with the same bytes.

    Args:
        store: the audio, with a split `train` for the clients, and held-out speakers in `val` or `test`.
        out: the bundle to write; `*.log.jsonl` and, until the run is done, `*.resume.safetensors` stand
            beside it.
        options: how.
        model: what to begin with; None for fresh weights.
        seed: of everything random.
        resume: `auto` goes on if there is a checkpoint of the same run, `must` insists, `never` starts anew.
        provenance: facts for the lineage.
        progress: counts windows, then rounds.

    Returns:
        What was made, and its figures on held-out speakers.

    Raises:
        InputError: options that do not go together, a spent budget of privacy, or `must` and nothing to
            resume.
    """
    base, corpus = start.prepare(store, options, model, seed, progress)
    target = corpus.train.target.numpy()
    who = clients.populate(target, corpus.train.speakers, options.population, seed)
    session = open_session(base, corpus, who, options, seed)
    checkpoint = out.with_suffix(".resume.safetensors")
    state = None if resume == "never" else resumed(session, checkpoint, must=resume == "must")
    begun = 0 if state is None else state.number
    state = play(session, state or first_state(session), checkpoint=checkpoint, progress=progress)
    return _finish(session, state, out, begun, provenance or {})


def play(
    session: Session, state: State, *, checkpoint: Path | None = None, progress: Progress = silent
) -> State:
    """Plays the rounds that are left.

    Args:
        session: what does not change.
        state: where to go on.
        checkpoint: written after every round, if given.
        progress: counts rounds.

    Returns:
        The state after the last round.

    Raises:
        InputError: the budget of privacy does not reach for one more round.
    """
    options = session.options
    topology = registry.load(TOPOLOGIES, options.topology)
    how = from_mapping(topology.Options, options.topology_options)
    while state.number < options.rounds:
        _check_budget(session, state.number + 1)
        state, facts = topology.advance(session, state, how)
        if state.number % options.evaluate_every == 0 or state.number == options.rounds:
            facts = dataclasses.replace(facts, figure=figure_of(session, state.weights))
        state = dataclasses.replace(state, log=(*state.log, _plain(facts)))
        if checkpoint is not None:
            save(state, session, checkpoint)
        progress(state.number, options.rounds, **_told(facts))
    return state


def _plain(facts: RoundFacts) -> dict[str, Any]:
    """Gives facts as JSON has them, so that a resumed run holds the same."""
    return cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(facts))))


def _check_budget(session: Session, rounds: int) -> None:
    """Refuses a round that would go beyond the budget: by the quick bound, then by the tight one."""
    budget = session.options.privacy.budget
    quick = spent(session, rounds)
    if not budget or quick is None or quick <= budget:
        return
    tight = _tight(session, rounds)
    if tight > budget:
        raise InputError(
            f"Round {rounds} would spend epsilon = {tight:.2f} of a budget of {budget:g}.",
            f"Use --rounds {rounds - 1}, more privacy.noise, or a smaller attendance.share.",
        )


def _tight(session: Session, rounds: int) -> float:
    how, attendance = session.options.privacy, session.options.attendance
    return accountant.epsilon(how.noise, attendance.share, rounds, delta_of(session), attendance.sampling)


def _finish(
    session: Session, state: State, out: Path, begun: int, provenance: Mapping[str, Any]
) -> FederateResult:
    lineage = {
        **provenance,
        "kwsctl": __version__,
        "parent": session.base.sha256,
        "made_by": {"method": "federate", **to_mapping(session.options)},
        "seed": session.seed,
        "clients": len(session.clients),
    }
    sha256 = session.bundle(state.weights, lineage).save(out)
    log = out.with_suffix(".log.jsonl")
    write_text(log, "".join(json.dumps(line, sort_keys=True) + "\n" for line in state.log))
    out.with_suffix(".resume.safetensors").unlink(missing_ok=True)
    noisy = bool(session.options.privacy.noise)
    refused: dict[str, int] = {}
    for line in state.log:
        for name in line["refused"]:
            refused[name] = refused.get(name, 0) + 1
    epsilon = _tight(session, state.number) if noisy else None
    return FederateResult(
        bundle=out,
        sha256=sha256,
        rounds=state.number,
        clients=len(session.clients),
        shared=session.layout.size,
        per_round=state.log,
        bytes_up=sum(line["bytes_up"] for line in state.log),
        bytes_down=sum(line["bytes_down"] for line in state.log),
        epsilon=epsilon,
        delta=delta_of(session) if noisy else None,
        held_out=measure(session, state.weights),
        own=measure_own(session, state),
        refused=refused,
        barred=anomaly.barred(state.strikes, session.options.watch),
        seldom_used=seldom_used(state),
        log=log,
        resumed_from=begun,
        warnings=tuple(_warnings(session, state, epsilon)),
    )


def seldom_used(state: State) -> dict[str, float]:
    """Names clients of which a robust aggregator took less than 40 % on average, least first."""
    shares: dict[str, list[float]] = {}
    for line in state.log:
        for name, share in line["influence"].items():
            shares.setdefault(name, []).append(float(share))
    means = {name: sum(found) / len(found) for name, found in shares.items()}
    typical = sorted(means.values())[len(means) // 2] if means else 1.0
    return dict(sorted(((n, m) for n, m in means.items() if m < SELDOM * typical), key=lambda row: row[1]))


def _warnings(session: Session, state: State, epsilon: float | None) -> Iterator[str]:
    how = session.options.privacy
    if epsilon is not None:
        advice = privacy.guidance(
            session.layout.size, len(session.clients), session.cohort, how.noise, epsilon
        )
        if advice:
            yield advice
        if how.where == "local":
            yield (
                "Local noise is sized so that the sum of all honest clients carries it: epsilon "
                "holds against "
                "somebody who sees sums. Use secure.on=true, so that the server is one of them."
            )
    lost = [line["round"] for line in state.log if line["lost"]]
    if lost:
        yield f"{len(lost)} rounds came to nothing, the first: {lost[0]}."
    if state.log and math.isnan(float(state.log[-1]["figure"] or 0.0)):
        yield "The held-out clips do not hold both the word and others: there is no figure."


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
