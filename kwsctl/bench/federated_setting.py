"""How much `kwsctl bench federated` measures, and what all of its tables are made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kwsctl.bench.federated_people import Fold, crowd
from kwsctl.bench.federated_trials import Row, federated, row_of


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
