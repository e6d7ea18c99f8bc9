"""Server optimizers beside plain averaging, each at the rates that other people chose."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kwsctl.bench.federated_people import Fold, inner
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Row, federated, row_of

ADAPTIVE = {"rate": 0.3, "beta2": 0.999, "tau": 0.01}
SERVER: dict[str, dict[str, float]] = {
    "fedadam": ADAPTIVE,
    "fedyogi": ADAPTIVE,
    "fedadagrad": {"rate": 0.5},
    "fedavgm": {"rate": 0.5},
}
LOCAL: dict[str, dict[str, float]] = {"fedadam": {"rate": 2.0}, "fedyogi": {"rate": 2.0}}
"""Where rates are not chosen anew: the mean does best with the default of 6."""
LOCAL_RATES = (2.0, 6.0, 18.0)
LARGE_RATES = (54.0, 162.0)
"""Tried as well where the server only averages: it does best with clients that go far."""
SERVER_RATES = (0.1, 0.3, 1.0)


def tuned(bench: Cases) -> list[Row]:
    """Chooses the rates of the mean, Adam and Yogi on some of the clients, and then holds out the others.

    For each way to ask, every rate is tried with four fifths of the clients, and judged on the last fifth;
    held-out people are heard once, with the best.
    """
    rows = []
    for title, where, share in (
        ("all asked", bench.where, 1.0),
        ("a fifth asked", bench.where, 0.2),
        (f"{bench.options.crowd:,} clients, a tenth asked", [bench.crowd(bench.options.crowd)], 0.1),
    ):
        for name in ("mean", "fedadam", "fedyogi"):
            values = {"aggregator": name, "attendance": {"share": share}, "rounds": bench.options.rounds}
            best = _best(where, bench.options.seed, name, values)
            played = federated(where, bench.options.seed, **values, **best)
            facts = {"setting": title, "aggregator": name, "local": best["local"]["rate"]}
            facts |= {"server": best["server"].get("rate")}
            rows.append(row_of(f"{title}, {name}", played, bench.target, bench.options.seed, **facts))
    return rows


def _best(where: Sequence[Fold], seed: int, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Gives the rates that were best for clients who were left out."""
    some = [inner(fold) for fold in where]
    once = {**values, "evaluate_every": values["rounds"]}

    def figure(rates: dict[str, Any]) -> float:
        return float(federated(some, seed, **{**once, **rates}).right.mean())

    return max(_grid(name), key=figure)


def _grid(name: str) -> Iterator[dict[str, Any]]:
    if name == "mean":
        yield from ({"local": {"rate": local}, "server": {}} for local in LOCAL_RATES + LARGE_RATES)
        return
    for local, server in itertools.product(LOCAL_RATES, SERVER_RATES):
        yield {"local": {"rate": local}, "server": {**ADAPTIVE, "rate": server}}


def crowds(bench: Cases) -> list[Row]:
    """Federates a crowd of simulated identities."""
    rows = []
    where = [bench.crowd(bench.options.crowd)]
    for name in ("mean", "fedadam", "fedyogi"):
        began = time.process_time()
        played = federated(
            where,
            bench.options.seed,
            rounds=bench.options.rounds,
            aggregator=name,
            server=SERVER.get(name, {}),
            attendance={"share": 0.1},
        )
        facts = {"clients": bench.options.crowd, "cpu_s": time.process_time() - began}
        title = f"{bench.options.crowd:,} clients, 10% asked, {name}"
        rows.append(row_of(title, played, bench.target, bench.options.seed, **facts))
    return rows
