"""How much `kwsctl bench federated` measures, and what all of its tables are made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl.bench.federated_people import Fold, crowd
from kwsctl.bench.federated_trials import Row, federated, row_of


@dataclass(frozen=True)
class FederatedBenchOptions:
    """How much to measure.

    Attributes:
        folds: speakers are parted into so many parts.
        played: of these, how many are held out, one after the other; all of them hold out everybody once.
        rounds: of a federation.
        attack_rounds: rounds of each cell of the table of attacks, which has many.
        attackers: share of the clients that lie; clients are left out until it is met exactly.
        crowd: simulated identities.
        crowd_clips: clips of each.
        network_rounds: of whole networks, which cost most.
        network_words: that these learn.
        network_seeds: with which they are played for the table `network-server`.
        tables: which to make; `network-server`, hours of CPU time, only where it is asked for.
        seed: of everything random.
    """

    folds: int = 4
    played: int = 1
    rounds: int = 50
    attack_rounds: int = 15
    attackers: float = 0.2
    crowd: int = 1000
    crowd_clips: int = 12
    network_rounds: int = 100
    network_words: int = 10
    network_seeds: int = 2
    tables: tuple[str, ...] = (
        "aggregators", "server", "clients", "labels", "attacks", "compression", "privacy", "topologies",
        "crowd", "memory", "network",
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
        home: its folder `bench` keeps what took long; None keeps nothing.
    """

    where: Sequence[Fold]
    options: FederatedBenchOptions
    target: float
    crowds: dict[int, Fold]
    home: Path | None = None

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
