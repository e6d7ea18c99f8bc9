"""The table of `kwsctl bench federated` that holds attacks against aggregators and the watch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kwsctl.bench.federated_people import Fold, fewer_clients
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Played, Row, federated, row_of, seldom
from kwsctl.federated.held_out import BATCH
from kwsctl.federated.session import Session
from kwsctl.federated.state import State

ROBUST = ("mean", "norm_bounded", "median", "trimmed_mean", "geometric_median", "krum", "multi_krum")
ATTACKS = ("label_flip", "sign_flip", "scaled", "gaussian", "collusion", "backdoor")


def attacks(bench: Cases) -> list[Row]:
    """Plays every attack against every aggregator, and against a mean that leaves odd clients out."""
    share = bench.options.attackers
    where = [fewer_clients(fold, exact(fold, share)) for fold in bench.where]
    n = bench.options.attack_rounds
    rows = []
    for attack in (None, *ATTACKS):
        for name in ROBUST:
            lies = {} if attack is None else {"attack": attack, "population": {"attackers": share}}
            played = federated(where, bench.options.seed, rounds=n, evaluate_every=n, aggregator=name, **lies)
            facts: dict[str, Any] = {"attack": attack or "none", "aggregator": name}
            if attack == "backdoor":
                facts["backdoor"] = float(
                    np.mean([_backdoor(s, t) for s, t in zip(played.sessions, played.states, strict=True)])
                )
            facts["seldom"] = len(seldom(played)) if attack is None else 0
            rows.append(row_of(f"{attack or 'no attack'}, {name}", played, None, bench.options.seed, **facts))
    for attack in ATTACKS:
        watch = {"watch": {"score": 4.0, "strikes": 3}}
        lies = {"attack": attack, "population": {"attackers": share}}
        played = federated(where, bench.options.seed, rounds=n, evaluate_every=n, **watch, **lies)
        facts = {"attack": attack, "aggregator": "mean, watched"}
        rows.append(
            row_of(f"{attack}, watched mean", played, None, bench.options.seed, **facts, **_caught(played))
        )
    played = federated(
        where, bench.options.seed, rounds=n, evaluate_every=n, watch={"score": 4.0, "strikes": 3}
    )
    rows.append(
        row_of(
            "no attack, watched mean",
            played,
            None,
            bench.options.seed,
            attack="none",
            aggregator="mean, watched",
            **_caught(played),
        )
    )
    return rows


def exact(fold: Fold, share: float) -> int:
    """Gives how many clients of a fold make the share of attackers a whole number, at most all."""
    there = len(set(fold.corpus.train.speakers))
    fit = [count for count in range(2, there + 1) if abs(share * count - round(share * count)) < 1e-9]
    return max(fit, default=there)


def _caught(played: Played) -> dict[str, int]:
    """Counts attackers and honest clients that were barred, in all folds."""
    caught = wrongly = 0
    for session, state in zip(played.sessions, played.states, strict=True):
        liars = {client.name for client in session.clients if client.attacks}
        barred = {name for name, count in state.strikes.items() if count >= session.options.watch.strikes}
        caught, wrongly = caught + len(barred & liars), wrongly + len(barred - liars)
    liars_in_all = sum(client.attacks for session in played.sessions for client in session.clients)
    return {"barred_liars": caught, "liars": liars_in_all, "barred_honest": wrongly}


def _backdoor(session: Session, state: State) -> float:
    """Gives the share of triggered held-out clips of other words that become the attacker's word."""
    table = session.corpus.embeddings(session.base, "held_out", triggered=True)
    assert session.attack is not None  # noqa: S101  # only called for that attack
    wanted = session.attack[1].label
    others = session.corpus.held_out.target != wanted
    logits = [
        session.resident.logits(session.complete(state.weights), part) for part in torch.split(table, BATCH)
    ]
    said = np.concatenate([part.argmax(1).numpy() for part in logits])
    return float((said == wanted)[others.numpy()].mean())
