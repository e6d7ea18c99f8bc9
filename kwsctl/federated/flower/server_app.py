"""The Flower ServerApp: plays the rounds of a plan, goes on from its checkpoint, and writes the bundle."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from kwsctl import bundle
from kwsctl.bundle import Bundle
from kwsctl.data.prepare import prepared
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.federated.corpus import gather
from kwsctl.federated.federate import FederateResult, finish
from kwsctl.federated.flower.fleet import Fleet
from kwsctl.federated.flower.plan import Plan, plan_of
from kwsctl.federated.rounds import play
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import first_state, resumed
from kwsctl.home import home
from kwsctl.progress import Progress, silent

Resume = Literal["auto", "must", "never"]


@dataclass(frozen=True, eq=False)
class Setting:
    """What the server works with.

    Attributes:
        session: without clients: who is there is known in each round only.
        plan: what was agreed on.
        out: the bundle to write.
        names: of nodes, where they are known.
        resume: `auto` goes on if there is a checkpoint of the same run, `must` insists, `never` starts anew.
        provenance: facts for the lineage.
    """

    session: Session
    plan: Plan
    out: Path
    names: Mapping[int, str] = field(default_factory=dict)
    resume: Resume = "auto"
    provenance: Mapping[str, Any] = field(default_factory=dict)


def server_app(
    opened: Callable[[Context], Setting] | None = None,
    *,
    done: Callable[[FederateResult], None] | None = None,
    progress: Progress = silent,
) -> ServerApp:
    """Makes the app.

    Args:
        opened: gives what the server works with; by default what the run configuration names.
        done: is told what was made.
        progress: counts rounds.

    Returns:
        The app.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        result = serve(grid, (opened or opened_here)(context), progress)
        if done is not None:
            done(result)

    return app


def serve(grid: Grid, setting: Setting, progress: Progress = silent) -> FederateResult:
    """Plays the rounds that are left.

    Args:
        grid: reaches the devices.
        setting: what the server works with.
        progress: counts rounds.

    Returns:
        What was made.

    Raises:
        InputError: too few devices, or a spent budget of privacy.
    """
    checkpoint = setting.out.with_suffix(".resume.safetensors")
    must = setting.resume == "must"
    state = None if setting.resume == "never" else resumed(setting.session, checkpoint, must=must)
    begun = 0 if state is None else state.number
    state = play(
        setting.session,
        state or first_state(setting.session),
        checkpoint=checkpoint,
        progress=progress,
        advance=Fleet(grid, setting.plan, setting.names).advance,
    )
    return finish(setting.session, state, setting.out, begun, {**setting.provenance, "engine": "flower"})


def open_server(base: Bundle, store: ClipStore | None, plan: Plan, secret: int | None) -> Session:
    """Opens a session without clients.

    Args:
        base: the bundle of the plan.
        store: clips of held-out speakers, in the split `val` or `test`; None if there are none.
        plan: what was agreed on.
        secret: seed of central noise; None takes the seed of the plan, as a simulation does.

    Returns:
        The session.

    Raises:
        InputError: another bundle than that of the plan.
    """
    if base.sha256 != plan.base_sha256:
        raise InputError(
            f"The server has bundle {base.sha256[:12]}, the plan is of {plan.base_sha256[:12]}.",
            "Use the base.safetensors of the deployment.",
        )
    corpus = gather(store or _no_clips(base), base, wanted=() if store is None else ("held_out",))
    session = open_session(base, corpus, (), plan.options, plan.seed)
    return dataclasses.replace(session, expected=plan.clients, secret=secret)


def opened_here(context: Context) -> Setting:
    """Opens what the run configuration names: `base`, `out`, and perhaps `held-out` and `home`.

    Args:
        context: of the ServerApp.

    Returns:
        What the server works with.
    """
    torch.set_num_threads(1)
    config = context.run_config
    plan = plan_of(config)
    base = bundle.load(Path(str(config["base"])))
    held_out = str(config.get("held-out", ""))
    folder = home(Path(str(config["home"])) if config.get("home") else None)
    store = prepared(Path(held_out), folder) if held_out else None
    return Setting(open_server(base, store, plan, secrets.randbits(63)), plan, Path(str(config["out"])))


def _no_clips(base: Bundle) -> ClipStore:
    nothing = np.zeros(0, dtype=np.int16)
    return ClipStore((), (), base.features.sample_rate_hz, nothing, np.zeros(1, dtype=np.int64), Path())
