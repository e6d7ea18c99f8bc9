"""`kwsctl bench federated`: aggregators, attacks, compression, privacy, topologies, a crowd.

All federations train a softmax head for words that the shipped encoder has never heard, on cached
embeddings; some speakers are held out, in folds. "Rounds to target" tells the first round at 98 % of what
central training reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kwsctl.bench.federated_cases import TABLES
from kwsctl.bench.federated_people import folds
from kwsctl.bench.federated_promises import promises
from kwsctl.bench.federated_setting import Cases, FederatedBenchOptions
from kwsctl.bench.federated_speed import Speed, heads_at_once
from kwsctl.bench.federated_trials import Row, central, local_only
from kwsctl.bench.promise import Promise
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.progress import Progress, silent
from kwsctl.registry import did_you_mean

__all__ = ["FederatedBench", "FederatedBenchOptions", "federated_bench"]

SHARE_OF_CENTRAL = 0.98


@dataclass(frozen=True)
class FederatedBench:
    """What was measured.

    Attributes:
        speakers: people.
        held_out: of these, how many were held out.
        clips: of all of them.
        words: how many.
        target: accuracy to reach, 98 % of central training.
        references: central and local training.
        tables: lines of each table.
        speed: of many heads at once.
        promises: what had to hold, and whether it did.
    """

    speakers: int
    held_out: int
    clips: int
    words: int
    target: float
    references: tuple[Row, ...]
    tables: dict[str, tuple[Row, ...]]
    speed: Speed
    promises: tuple[Promise, ...]


def federated_bench(
    store: ClipStore,
    encoder: Bundle,
    options: FederatedBenchOptions,
    home: Path | None = None,
    progress: Progress = silent,
) -> FederatedBench:
    """Measures federations of heads.

    Args:
        store: clips of people who each say the same words.
        encoder: a bundle without labels that has not heard these people.
        options: how much to measure.
        home: whole networks of the table `network-server` are kept in its folder `bench`.
        progress: counts tables.

    Returns:
        All tables.

    Raises:
        InputError: an unknown table, or too few speakers.
    """
    for name in options.tables:
        if name not in TABLES:
            raise InputError(
                f"No table {name!r}.", f"{did_you_mean(name, list(TABLES))}Known: {', '.join(TABLES)}."
            )
    where = folds(store, encoder, options.folds, options.seed)[: options.played]
    references = (central(where, options.seed), local_only(where, options.seed))
    bench = Cases(where, options, SHARE_OF_CENTRAL * references[0].accuracy[0], {}, home)
    tables: dict[str, tuple[Row, ...]] = {}
    for number, name in enumerate(options.tables):
        progress(number, len(options.tables), table=name)
        tables[name] = tuple(TABLES[name](bench))
    speed = heads_at_once(where[0], options.seed)
    progress(len(options.tables), len(options.tables))
    everybody = [*where[0].corpus.train.speakers, *where[0].corpus.held_out.speakers]
    return FederatedBench(
        speakers=len(set(everybody)),
        held_out=sum(len(set(fold.corpus.held_out.speakers)) for fold in where),
        clips=len(everybody),
        words=len(where[0].base.labels),
        target=bench.target,
        references=references,
        tables=tables,
        speed=speed,
        promises=promises(references[0], tables, speed, bench.target),
    )
