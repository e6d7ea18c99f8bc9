"""What changes from round to round, and how it is kept for a run that is killed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.session import Session, fingerprint_of
from kwsctl.learning.checkpoint import Checkpoint
from kwsctl.learning.checkpoint import load as load_checkpoint

Devices = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class RoundFacts:
    """What happened in one round.

    Attributes:
        round: counted from 1.
        asked: clients that were asked.
        answered: clients whose change was used.
        dropped: who never answered.
        refused: why, by client.
        left_out: score, by client, of those that were too unlike the others.
        influence: share of each client that a robust aggregator kept.
        loss: mean over the clients' clips.
        figure: accuracy on held-out speakers (of a wake word: average precision); None if not measured.
        bytes_up: sent by all clients.
        bytes_down: sent to all clients.
        epsilon: spent so far, by the quick bound; None without noise.
        clip: longest change that counted in full; None without clipping.
        labels_made_up: share of the clips learned from whose labels were guessed on the device.
        lost: why the round came to nothing, if it did.
    """

    round: int
    asked: int
    answered: int
    dropped: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, float] = field(default_factory=dict)
    influence: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    figure: float | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    epsilon: float | None = None
    clip: float | None = None
    labels_made_up: float = 0.0
    lost: str | None = None


@dataclass(frozen=True, eq=False)
class State:
    """A federation after some rounds.

    Attributes:
        number: rounds done.
        weights: [P] of the server.
        public: [P] what the devices hold: the server's weights, as far as its channel told them.
        server: of the aggregator.
        control: [P] of SCAFFOLD.
        devices: what each device keeps: `left_over` of its channel, `control`, `personal` layers, gossip's
            `model`.
        heard: the round in which each client last heard from the server.
        strikes: rounds in a row with a high anomaly score.
        clip: longest change that counts in full.
        log: of all rounds.
    """

    number: int
    weights: Tensor
    public: Tensor
    server: Mapping[str, Tensor]
    control: Tensor
    devices: Devices
    heard: Mapping[str, int]
    strikes: Mapping[str, int]
    clip: float
    log: tuple[Mapping[str, Any], ...] = ()


def first_state(session: Session) -> State:
    """Gives the state before the first round."""
    shared = session.first[session.shared].clone()
    return State(
        number=0,
        weights=shared,
        public=shared.clone(),
        server={},
        control=torch.zeros(session.layout.size if session.options.local.scaffold else 0),
        devices={},
        heard={},
        strikes={},
        clip=session.options.privacy.clip,
    )


def save(state: State, session: Session, path: Path) -> None:
    """Writes a checkpoint atomically."""
    tensors = {"weights": state.weights, "public": state.public, "control": state.control}
    tensors |= {f"server.{name}": tensor for name, tensor in state.server.items()}
    # Client names are data: they go into the facts, and tensors get numbers.
    names = sorted(state.devices)
    for place, name in enumerate(names):
        tensors |= {f"device.{place}.{what}": tensor for what, tensor in state.devices[name].items()}
    facts = {
        "fingerprint": _fingerprint(session),
        "number": state.number,
        "devices": names,
        "heard": dict(state.heard),
        "strikes": dict(state.strikes),
        "clip": state.clip,
        "log": list(state.log),
    }
    Checkpoint(facts, tensors).save(path)


def resumed(session: Session, path: Path, *, must: bool = False) -> State | None:
    """Reads the checkpoint of the same run.

    Args:
        session: says what the run is.
        path: the checkpoint.
        must: insist that there is one.

    Returns:
        The state to go on from; None if there is none of the same run.

    Raises:
        InputError: `must`, and there is none.
    """
    if not path.is_file():
        if must:
            raise InputError(f"{path} is not there.", "Repeat the interrupted command, with the same --out.")
        return None
    saved = load_checkpoint(path)
    if saved.facts["fingerprint"] != _fingerprint(session):
        if must:
            raise InputError(
                f"{path} is of another run.",
                "Repeat the interrupted command with the same data, options and seed.",
            )
        return None
    return State(
        number=int(saved.facts["number"]),
        weights=saved.tensors["weights"],
        public=saved.tensors["public"],
        server=saved.part("server"),
        control=saved.tensors["control"],
        devices={name: saved.part(f"device.{n}") for n, name in enumerate(saved.facts["devices"])},
        heard=dict(saved.facts["heard"]),
        strikes=dict(saved.facts["strikes"]),
        clip=float(saved.facts["clip"]),
        log=tuple(saved.facts["log"]),
    )


def _fingerprint(session: Session) -> str:
    text = json.dumps(fingerprint_of(session), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
