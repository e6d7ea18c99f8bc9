"""The tables of `kwsctl bench federated`: which federations are played for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kwsctl import registry
from kwsctl.bench.federated_attacks import attacks
from kwsctl.bench.federated_memory import memory
from kwsctl.bench.federated_network import networks
from kwsctl.bench.federated_network_server import rivals
from kwsctl.bench.federated_people import fewer_words
from kwsctl.bench.federated_server import LOCAL, SERVER, crowds, tuned
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Row, federated, own_accuracy, row_of, seldom
from kwsctl.federated.accountant import epsilon
from kwsctl.federated.session import AGGREGATORS, Session
from kwsctl.federated.topologies.gossip import spread
from kwsctl.federated.topologies.star import delta_of


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
    crowd = bench.crowd(bench.options.crowd)
    words = bench.options.network_words
    for label, where, share, target in (
        ("people", bench.where, 1.0, bench.target),
        ("crowd", [crowd], 0.1, bench.target),
        (f"crowd, {words} words", [fewer_words(crowd, words)], 0.1, None),
    ):
        for z in (0.0, 0.5, 1.0, 2.0, 5.0):
            values = {
                "privacy": {"clip": 5.0, "noise": z},
                "attendance": {"share": share},
                "rounds": 30,
            }
            played = federated(where, bench.options.seed, **values)
            session = played.sessions[0]
            facts = {
                "epsilon": None if z == 0 else _epsilon(session),
                "clients": len(session.clients),
                "shared": session.layout.size,
                "noise": z,
            }
            rows.append(row_of(f"{label}, z = {z:g}", played, target, bench.options.seed, **facts))
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


TABLES: dict[str, Callable[[Cases], list[Row]]] = {
    "aggregators": _aggregators,
    "clients": _clients,
    "labels": _labels,
    "attacks": attacks,
    "compression": _compression,
    "privacy": _privacy,
    "topologies": _topologies,
    "server": tuned,
    "crowd": crowds,
    "memory": memory,
    "network": networks,
    "network-server": rivals,
}
