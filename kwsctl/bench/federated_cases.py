"""The tables of `kwsctl bench federated`: which federations are played for each."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kwsctl import registry
from kwsctl.bench.federated_people import Fold, crowd
from kwsctl.bench.federated_trials import Played, Row, federated, own_accuracy, row_of, seldom
from kwsctl.federated.accountant import epsilon
from kwsctl.federated.held_out import BATCH
from kwsctl.federated.session import AGGREGATORS, Session
from kwsctl.federated.state import State
from kwsctl.federated.topologies.gossip import spread
from kwsctl.federated.topologies.star import delta_of

ADAPTIVE = {"rate": 0.3, "beta2": 0.999, "tau": 0.01}
SERVER = {
    "fedadam": ADAPTIVE,
    "fedyogi": ADAPTIVE,
    "fedadagrad": {"rate": 0.5},
    "fedavgm": {"rate": 0.5},
}
LOCAL = {"fedadam": {"rate": 2.0}, "fedyogi": {"rate": 2.0}}
"""Rates were tried on one fold, for each aggregator by itself; the mean was best with the default of 6."""
ROBUST = ("mean", "norm_bounded", "median", "trimmed_mean", "geometric_median", "krum", "multi_krum")
ATTACKS = ("label_flip", "sign_flip", "scaled", "gaussian", "collusion", "backdoor")


@dataclass(frozen=True)
class FederatedBenchOptions:
    """How much to measure.

    Attributes:
        folds: speakers are held out in so many parts.
        rounds: of a federation.
        attack_folds: folds of the table of attacks, which has many cells.
        attack_rounds: rounds of each of these.
        attackers: share of the clients that lie.
        crowd: simulated identities of the last table.
        crowd_clips: clips of each.
        tables: which to make.
        seed: of everything random.
    """

    folds: int = 4
    rounds: int = 50
    attack_folds: int = 2
    attack_rounds: int = 15
    attackers: float = 0.2
    crowd: int = 1000
    crowd_clips: int = 12
    tables: tuple[str, ...] = (
        "aggregators", "clients", "labels", "attacks", "compression", "privacy", "topologies", "crowd",
    )  # fmt: skip
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cases:
    """What all tables are made with.

    Attributes:
        where: the folds.
        options: how much to measure.
        target: accuracy to reach.
        crowds: those that were made, by their size.
    """

    where: Sequence[Fold]
    options: FederatedBenchOptions
    target: float
    crowds: dict[int, Fold]

    def crowd(self, clients: int) -> Fold:
        """Gives a crowd, made once."""
        if clients not in self.crowds:
            self.crowds[clients] = crowd(self.where[0], clients, self.options.crowd_clips, self.options.seed)
        return self.crowds[clients]

    def row(self, name: str, where: Sequence[Fold] | None = None, **values: Any) -> Row:
        """Plays one federation in all folds and makes its line."""
        played = federated(
            where or self.where, self.options.seed, **{"rounds": self.options.rounds, **values}
        )
        return row_of(name, played, self.target, self.options.seed)


def _aggregators(bench: Cases) -> list[Row]:
    rows = []
    for name in registry.names(AGGREGATORS):
        played = federated(
            bench.where,
            bench.options.seed,
            rounds=bench.options.rounds,
            aggregator=name,
            server=SERVER.get(name, {}),
            local=LOCAL.get(name, {}),
        )
        own = sorted(own_accuracy(played).values())
        worst = own[: max(1, round(len(own) / 10))]
        facts = {"own_worst": float(np.mean(worst)), "own": float(np.mean(own)), "seldom": seldom(played)}
        rows.append(row_of(name, played, bench.target, bench.options.seed, **facts))
    return rows


def _clients(bench: Cases) -> list[Row]:
    few = {"share": 0.2}
    skew = _split("dirichlet", clients=20, alpha=0.1)
    cases: dict[str, dict[str, Any]] = {
        "by speaker": {},
        "by speaker, 20 % asked": {"attendance": few},
        "20 clients, IID": _split("iid", clients=20),
        "20 clients, unequal sizes": _split("quantity_skew", clients=20),
        "20 clients, Dirichlet 0.1": skew,
        "Dirichlet 0.1, FedProx": {**skew, "local": {"proximal": 0.01}},
        "Dirichlet 0.1, SCAFFOLD": {**skew, "local": {"scaffold": True}},
        "by speaker, 5 local epochs": {"local": {"epochs": 5}},
        "30 % drop out, 30 % stragglers": {"attendance": {"dropout": 0.3, "stragglers": 0.3}},
        "the same, FedNova": {"attendance": {"dropout": 0.3, "stragglers": 0.3}, "aggregator": "fednova"},
        "half join by round 25": {"population": {"late_share": 0.5, "late_rounds": 25}},
    }
    return [bench.row(name, **values) for name, values in cases.items()]


def _split(partition: str, **how: Any) -> dict[str, Any]:
    return {"population": {"partition": partition, "partition_options": how}}


def _labels(cases: Cases) -> list[Row]:
    """Lets clients know few labels, which they go through more often, and guess the others."""
    rows = [cases.row("100% labelled")]
    for share in (0.1, 0.03):
        few: dict[str, Any] = {"population": {"labelled_share": share}}
        often = {"batch_size": 4, "epochs": 3}
        guess = {"pseudo_from": 0.1, "pseudo_to": 1.0, "pseudo_after": 15}
        rows.append(cases.row(f"{share:.0%} labelled", **few, local=often))
        rows.append(cases.row(f"{share:.0%} labelled, others guessed", **few, local={**often, **guess}))
    return rows


def _attacks(bench: Cases) -> list[Row]:
    where, share = bench.where[: bench.options.attack_folds], bench.options.attackers
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


def _compression(bench: Cases) -> list[Row]:
    cases: dict[str, dict[str, Any]] = {
        "none": {},
        "int8 up and down": {"uplink": "int8", "downlink": "int8"},
        "int4 up and down": {"uplink": "int4", "downlink": "int4"},
        "low rank 1 up, int4 down": {"uplink": "low_rank", "downlink": "int4"},
        "sign up, int4 down": {"uplink": "sign", "downlink": "int4"},
        "top 3 % up, int4 down": {"uplink": "top_k", "uplink_options": {"share": 0.03}, "downlink": "int4"},
        "top 1 % up, int4 down": {"uplink": "top_k", "uplink_options": {"share": 0.01}, "downlink": "int4"},
    }
    return [bench.row(name, **values) for name, values in cases.items()]


def _privacy(bench: Cases) -> list[Row]:
    rows = []
    for label, where, share in (
        ("people", bench.where, 1.0),
        ("crowd", [bench.crowd(bench.options.crowd)], 0.1),
    ):
        for z in (0.0, 0.5, 1.0, 2.0, 5.0):
            values = {
                "privacy": {"clip": 5.0, "noise": z},
                "attendance": {"share": share},
                "rounds": 30,
            }
            played = federated(where, bench.options.seed, **values)
            session = played.sessions[0]
            epsilon = None if z == 0 else _epsilon(session)
            facts = {
                "epsilon": epsilon,
                "clients": len(session.clients),
                "shared": session.layout.size,
                "noise": z,
            }
            rows.append(row_of(f"{label}, z = {z:g}", played, bench.target, bench.options.seed, **facts))
    return rows


def _epsilon(session: Session) -> float:
    how, attendance = session.options.privacy, session.options.attendance
    return epsilon(
        how.noise, attendance.share, session.options.rounds, delta_of(session), attendance.sampling
    )


def _edges(rounds: int) -> dict[str, Any]:
    return {"topology": "hierarchical", "topology_options": {"edges": 3, "edge_rounds": rounds}}


def _topologies(bench: Cases) -> list[Row]:
    cases: dict[str, dict[str, Any]] = {
        "star": {},
        "3 edges, 2 edge rounds": _edges(2),
        "3 edges, 4 edge rounds": _edges(4),
        "gossip, ring": {"topology": "gossip", "topology_options": {"graph": "ring"}},
        "gossip, exponential graph": {"topology": "gossip", "topology_options": {"graph": "exponential"}},
        "gossip, ring, int4": {
            "topology": "gossip", "topology_options": {"graph": "ring", "step": 0.6}, "uplink": "int4",
        },
    }  # fmt: skip
    rows = []
    for name, values in cases.items():
        played = federated(bench.where, bench.options.seed, rounds=bench.options.rounds, **values)
        facts = {}
        if values.get("topology") == "gossip":
            facts["spread"] = float(np.mean([spread(state.devices) for state in played.states]))
        rows.append(row_of(name, played, bench.target, bench.options.seed, **facts))
    return rows


def _crowd(bench: Cases) -> list[Row]:
    """Federates a crowd, smaller first, so that the peak of memory tells what more clients cost."""
    rows = []
    for clients, name, share in (
        (bench.options.crowd // 4, "mean", 0.4),
        (bench.options.crowd, "mean", 0.1),
        (bench.options.crowd, "fedadam", 0.1),
        (bench.options.crowd, "fedyogi", 0.1),
        (bench.options.crowd, "mean", 1.0),
    ):
        where = [bench.crowd(clients)]
        before, began = _peak_mb(), time.process_time()
        played = federated(
            where, bench.options.seed, rounds=bench.options.rounds, aggregator=name,
            server=SERVER.get(name, {}), attendance={"share": share},
        )  # fmt: skip
        facts = {
            "clients": clients,
            "share": share,
            "cpu_s": time.process_time() - began,
            "peak_grew_mb": _peak_mb() - before,
        }
        title = f"{clients:,} clients, {share:.0%} asked, {name}"
        rows.append(row_of(title, played, bench.target, bench.options.seed, **facts))
    return rows


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TABLES: dict[str, Callable[[Cases], list[Row]]] = {
    "aggregators": _aggregators,
    "clients": _clients,
    "labels": _labels,
    "attacks": _attacks,
    "compression": _compression,
    "privacy": _privacy,
    "topologies": _topologies,
    "crowd": _crowd,
}
