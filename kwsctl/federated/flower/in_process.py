"""`kwsctl federate --engine flower`: Flower's apps with every client as a node of this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.federated import clients, start
from kwsctl.federated.federate import FederateResult
from kwsctl.federated.federate_voices import FederatedVoices, federate_voices
from kwsctl.federated.flower.client_app import client_app
from kwsctl.federated.flower.fleet import Fleet
from kwsctl.federated.flower.local_grid import FIRST_NODE, LocalGrid, run_here
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.flower.server_app import Resume, Setting, server_app
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.rounds import Advance
from kwsctl.federated.session import Session, open_session
from kwsctl.progress import Progress, silent


def federate_on_flower(
    store: ClipStore,
    out: Path,
    options: FederateOptions,
    *,
    model: Bundle | None = None,
    seed: int = 0,
    resume: Resume = "auto",
    provenance: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> FederateResult:
    """Trains one model with Flower's apps and messages, in this process.

    Args:
        store: the audio, as `kwsctl.federated.federate.federate` takes it.
        out: the bundle to write.
        options: how.
        model: what to begin with; None for fresh weights.
        seed: of everything random.
        resume: `auto` goes on if there is a checkpoint of the same run, `must` insists, `never` starts anew.
        provenance: facts for the lineage.
        progress: counts windows, then rounds.

    Returns:
        What was made, and its figures on held-out speakers.

    Raises:
        InputError: options that can only be simulated, or that do not go together.
    """
    base, corpus = start.prepare(store, options, model, seed, progress)
    who = clients.populate(corpus.train.target.numpy(), corpus.train.speakers, options.population, seed)
    plan = Plan(options, seed, len(who), base.sha256)
    session = open_session(base, corpus, who, options, seed)
    setting = Setting(session, plan, out, resume=resume, provenance=provenance or {})
    return _run(setting, progress)


def federate_voices_on_flower(
    *arguments: Any, provenance: Mapping[str, Any] | None = None, **named: Any
) -> FederatedVoices:
    """Trains verification with Flower's ClientApp and messages, in this process.

    Args:
        *arguments: as `kwsctl.federated.federate_voices.federate_voices` takes them.
        provenance: facts for the lineage.
        **named: likewise.

    Returns:
        What was made, and its figures.
    """
    engine = {"engine": "flower"}
    return federate_voices(
        *arguments, provenance={**(provenance or {}), **engine}, advance_of=_advance_here, **named
    )


def _advance_here(session: Session) -> Advance:
    """Gives what plays a round with every client of a session as a node of this process."""
    plan = Plan(session.options, session.seed, len(session.clients), session.base.sha256)
    by_name = {client.name: client for client in session.clients}

    def opened(context: Context) -> Session:
        own = by_name[str(context.node_config["client"])]
        return dataclasses.replace(session, clients=(own,), expected=plan.clients)

    nodes: list[Mapping[str, Any]] = [{"client": name} for name in by_name]
    grid = LocalGrid(client_app(opened, masked=plan.options.secure.on), nodes, plan.config)
    fleet = Fleet(grid, plan, {FIRST_NODE + place: name for place, name in enumerate(by_name)})
    without = dataclasses.replace(session, clients=(), expected=plan.clients)
    return lambda _, state: fleet.advance(without, state)


def _run(setting: Setting, progress: Progress) -> FederateResult:
    """Gives every node the part of the session that is its own; the one network serves all in turn."""
    session, plan = setting.session, setting.plan
    by_name = {client.name: client for client in session.clients}
    names = {FIRST_NODE + place: name for place, name in enumerate(by_name)}
    made: list[FederateResult] = []

    def opened(context: Context) -> Session:
        own = by_name[str(context.node_config["client"])]
        return dataclasses.replace(session, clients=(own,), expected=plan.clients)

    def of_server(context: Context) -> Setting:
        without = dataclasses.replace(session, clients=(), expected=plan.clients)
        return dataclasses.replace(setting, session=without, names=names)

    nodes: list[Mapping[str, Any]] = [{"client": name} for name in by_name]
    run_here(
        server_app(of_server, done=made.append, progress=progress),
        client_app(opened, masked=plan.options.secure.on),
        nodes,
        plan.config,
    )
    return made[0]
