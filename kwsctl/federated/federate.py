"""`kwsctl federate`: plays rounds, keeps what a killed run needs, and writes the shared bundle."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from kwsctl import __version__
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.federated import anomaly, clients, privacy, start
from kwsctl.federated.held_out import HeldOut, OwnFigures, measure, measure_own
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.rounds import play, tight
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import State, first_state, resumed
from kwsctl.federated.topologies.star import delta_of
from kwsctl.forked import chosen_workers
from kwsctl.learning.precision import FULL
from kwsctl.learning.workers import device_named
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.storage import write_text

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
        held_out: figures on held-out speakers; None where there are none.
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
    held_out: HeldOut | None
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
    workers: int | None = None,
    device: str = "cpu",
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
        workers: processes that let clients learn side by side, one for each core by default; the result does
            not depend on it.
        device: where clients learn: `cpu`, to the same bits on every machine, or `cuda`, many at once.
        progress: counts windows, then rounds.

    Returns:
        What was made, and its figures on held-out speakers.

    Raises:
        InputError: options that do not go together, a spent budget of privacy, workers that cannot be,
            or `must` and nothing to resume.
        DeviceError: the device is not there.
    """
    side_by_side, elsewhere = chosen_workers(workers), _elsewhere(device, workers, options)
    base, corpus = start.prepare(store, options, model, seed, progress)
    target = corpus.train.target.numpy()
    who = clients.populate(target, corpus.train.speakers, options.population, seed)
    session = open_session(base, corpus, who, options, seed, workers=side_by_side, device=elsewhere)
    checkpoint = out.with_suffix(".resume.safetensors")
    state = None if resume == "never" else resumed(session, checkpoint, must=resume == "must")
    begun = 0 if state is None else state.number
    state = play(session, state or first_state(session), checkpoint=checkpoint, progress=progress)
    return finish(session, state, out, begun, provenance or {})


def _elsewhere(name: str, workers: int | None, options: FederateOptions) -> torch.device | None:
    """Gives the device if it is not the CPU, and refuses what is done on that alone."""
    device = device_named(name)
    if device.type == "cpu":
        return None
    if workers is not None:
        raise InputError(f"On {name} clients learn at once, not in workers.", "Leave --workers out.")
    if options.precision != FULL:
        raise InputError(
            f"Clients learn in {options.precision} on the CPU only, not on {name}.",
            "Leave --device out, or --precision.",
        )
    return device


def finish(
    session: Session, state: State, out: Path, begun: int, provenance: Mapping[str, Any]
) -> FederateResult:
    """Writes the bundle and the log of a federation whose rounds are done.

    Args:
        session: what does not change.
        state: after the last round.
        out: the bundle to write.
        begun: rounds that an interrupted run had done.
        provenance: facts for the lineage.

    Returns:
        What was made, and its figures.
    """
    lineage = {
        **provenance,
        "kwsctl": __version__,
        "parent": session.base.sha256,
        "made_by": {"method": "federate", **to_mapping(session.options)},
        "seed": session.seed,
        "clients": session.population,
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
    epsilon = tight(session, state.number) if noisy else None
    return FederateResult(
        bundle=out,
        sha256=sha256,
        rounds=state.number,
        clients=session.population,
        shared=session.layout.size,
        per_round=state.log,
        bytes_up=sum(line["bytes_up"] for line in state.log),
        bytes_down=sum(line["bytes_down"] for line in state.log),
        epsilon=epsilon,
        delta=delta_of(session) if noisy else None,
        held_out=measure(session, state.weights) if len(session.corpus.held_out) else None,
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
        advice = privacy.guidance(session.layout.size, session.population, session.cohort, how.noise, epsilon)
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
    if len(session.corpus.held_out) and state.log and math.isnan(float(state.log[-1]["figure"] or 0.0)):
        yield "The held-out clips do not hold both the word and others: there is no figure."
