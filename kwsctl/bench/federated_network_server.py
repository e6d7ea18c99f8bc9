"""Server Adam beside plain averaging where whole networks are learned from nothing.

Heads are convex, and near their ceiling after few rounds; what a server optimizer is for is a network. One
fold and one seed say little of it: held-out people are few, and the same network trained twice differs by a
point. So all folds are played, with several seeds, and what is told is by how much people are heard better.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.bench.federated_network import ADAPTIVE, EVALUATED_EVERY, WHOLE, fresh
from kwsctl.bench.federated_people import Fold, fewer_words, inner
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Row, federated, row_without_rounds
from kwsctl.bench.remembered import remembered
from kwsctl.evaluation import intervals
from kwsctl.forked import GOES_ON, chosen_workers, side_by_side
from kwsctl.seeding import numpy_generator
from kwsctl.threads import one_thread

Rates = dict[str, dict[str, float]]
LOCAL_RATES = (0.05, 0.1, 0.3)
SERVER_RATES = (0.003, 0.01, 0.03)


def _server(rate: float) -> Rates:
    return {"local": dict(WHOLE["local"]), "server": {**ADAPTIVE["server"], "rate": rate}}


GRID: dict[str, list[Rates]] = {
    "mean": [{"local": {**WHOLE["local"], "rate": rate}, "server": {}} for rate in LOCAL_RATES],
    "fedadam": [_server(rate) for rate in SERVER_RATES],
}
"""As many rates for each: of the clients for the mean, which has no other, of the server for Adam."""


@dataclass(frozen=True, eq=False)
class _Game:
    """One federation to play.

    Attributes:
        fold: its clients and held-out people.
        aggregator: of the server.
        rates: of clients and server.
        seed: of everything random.
    """

    fold: Fold
    aggregator: str
    rates: Rates
    seed: int


def rivals(bench: Cases) -> list[Row]:
    """Chooses rates for each fold among its clients, and then holds out the others, with every seed.

    Args:
        bench: the folds.

    Returns:
        A line for each aggregator; that of Adam tells by how much it is ahead of the mean, with an interval
        over people.
    """
    options = bench.options
    where = [fewer_words(fold, options.network_words) for fold in bench.where]
    chosen = _chosen(where, options.seed, options.rounds, bench.home)
    seeds = range(options.seed, options.seed + options.network_seeds)
    games = [
        _Game(fresh(fold, seed), name, rates[place], seed)
        for name, rates in chosen.items()
        for place, fold in enumerate(where)
        for seed in seeds
    ]
    ended = _played(games, options.rounds, EVALUATED_EVERY, bench.home)
    speakers = [name for fold in where for name in fold.corpus.held_out.speakers]
    rows: list[Row] = []
    heard: dict[str, NDArray[np.float64]] = {}
    for name, rates in chosen.items():
        own = [end for end, game in zip(ended, games, strict=True) if game.aggregator == name]
        heard[name] = _over_seeds([right for right, _ in own], len(seeds))
        facts: dict[str, Any] = {"aggregator": name, "rounds": options.rounds, "seeds": len(seeds)}
        facts["rates"] = _told(rates)
        if name != "mean":
            facts["ahead"] = _ahead(heard[name] - heard["mean"], speakers, options.seed)
        row = row_without_rounds(f"whole network from nothing, {name}", heard[name], speakers, options.seed)
        curve = np.mean([curve for _, curve in own], axis=0)
        rows.append(dataclasses.replace(row, curve=tuple(round(float(x), 5) for x in curve), facts=facts))
    return rows


def _chosen(where: Sequence[Fold], seed: int, rounds: int, home: Path | None) -> dict[str, list[Rates]]:
    """Gives, by aggregator, the rates for each fold that clients who were left out are heard best with."""
    tries = [
        (name, place, rates) for name, grid in GRID.items() for place in range(len(where)) for rates in grid
    ]
    some = [inner(fresh(fold, seed)) for fold in where]
    games = [_Game(some[place], name, rates, seed) for name, place, rates in tries]
    ended = _played(games, rounds, rounds, home)
    figures = [float(right.mean()) for right, _ in ended]
    best: dict[str, list[Rates]] = {}
    for (name, _place), group in itertools.groupby(
        zip(figures, tries, strict=True), key=lambda one: one[1][:2]
    ):
        best.setdefault(name, []).append(max(group, key=lambda one: one[0])[1][2])
    return best


def _over_seeds(right: Sequence[NDArray[np.float64]], seeds: int) -> NDArray[np.float64]:
    """Gives how often each held-out clip was right, the folds one after the other."""
    return np.concatenate([np.mean(right[at : at + seeds], axis=0) for at in range(0, len(right), seeds)])


def _ahead(
    difference: NDArray[np.float64], speakers: Sequence[str | None], seed: int
) -> tuple[float, float, float]:
    ci = intervals.bootstrap(difference, speakers, numpy_generator(seed, "ahead"))
    return float(difference.mean()), ci.low, ci.high


def _told(rates: Sequence[Rates]) -> str:
    """Writes the rates of the folds: of the clients, or of the server where it has one."""
    return ", ".join(f"{(one['server'] or one['local'])['rate']:g}" for one in rates)


def _played(
    games: Sequence[_Game], rounds: int, every: int, home: Path | None
) -> list[tuple[NDArray[np.float64], list[float]]]:
    """Plays federations, one on each core: whether each held-out clip was right, and the curves."""

    def play(number: int) -> dict[str, list[float]]:
        game = games[number]
        values = {**WHOLE, "aggregator": game.aggregator, **game.rates, "evaluate_every": every}
        values["rounds"] = rounds

        def make() -> dict[str, list[float]]:
            played = federated([game.fold], game.seed, **values)
            log = played.states[0].log
            curve = [line["figure"] for line in log if line["figure"] is not None]
            return {"right": played.right.tolist(), "curve": curve}

        if home is None:
            return make()
        people = sorted({str(name) for name in game.fold.corpus.train.speakers})
        key = [game.fold.base.sha256, people, len(game.fold.corpus.train), game.seed, values]
        found: dict[str, list[float]] = remembered(home / "bench" / "federated", "network", key, make)
        return found

    with one_thread():
        ended = side_by_side(play, len(games), chosen_workers(), GOES_ON)
    return [(np.array(one["right"]), one["curve"]) for one in ended]
