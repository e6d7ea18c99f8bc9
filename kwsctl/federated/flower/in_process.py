"""`kwsctl federate --engine flower`: the Flower app with every client as a node of this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from flwr.app import Context

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.federated import clients, start
from kwsctl.federated.federate import FederateResult
from kwsctl.federated.federate_voices import FederatedVoices, cast_of, finish_voices
from kwsctl.federated.flower.client_app import client_app
from kwsctl.federated.flower.local_grid import FIRST_NODE, run_here
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.flower.server_app import Resume, Setting, server_app
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import State
from kwsctl.federated.verification import open_voices
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
    return cast(FederateResult, _run(setting, progress))


def federate_voices_on_flower(
    store: ClipStore,
    encoder: Bundle,
    out: Path,
    options: FederateOptions,
    *,
    seed: int = 0,
    must_resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> FederatedVoices:
    """Trains verification with Flower's apps and messages, in this process.

    Args:
        store: as `kwsctl.federated.federate_voices.federate_voices` takes it.
        encoder: its trunk is frozen.
        out: the verification model to write.
        options: how.
        seed: of everything random.
        must_resume: insist on a checkpoint of the same run.
        provenance: facts for the lineage.
        progress: counts windows, then rounds.

    Returns:
        What was made, and its figures.

    Raises:
        InputError: options that can only be simulated, or that do not go together.
    """
    parts = cast_of(store, encoder, options, seed, progress)
    session = open_voices(encoder, parts, options, seed)
    plan = Plan(session.options, seed, len(session.clients), session.base.sha256)

    def finish(_: Session, state: State, out: Path, begun: int, provenance: Mapping[str, Any]) -> Any:
        return finish_voices(session, state, parts, out, begun, provenance)

    setting = Setting(
        session,
        plan,
        out,
        resume="must" if must_resume else "auto",
        provenance=provenance or {},
        finish=finish,
    )
    made = cast(FederatedVoices, _run(setting, progress))
    out.with_suffix(".resume.safetensors").unlink(missing_ok=True)
    return made


def _run(setting: Setting, progress: Progress) -> Any:
    """Gives every node the part of the session that is its own; the one network serves all in turn."""
    session, plan = setting.session, setting.plan
    by_name = {client.name: client for client in session.clients}
    names = {FIRST_NODE + place: name for place, name in enumerate(by_name)}
    made: list[Any] = []

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
