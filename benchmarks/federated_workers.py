"""How much sooner a round of whole networks ends when its clients learn side by side, by the clock.

python benchmarks/federated_workers.py --data MANIFEST [--workers N]

The same rounds are played by one process and by several, in turns in one run, so that both have seen the
same load; both must end with the same weights, to the last bit. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import torch

from kwsctl.data.prepare import prepared
from kwsctl.federated import clients, pool, start
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import State, first_state
from kwsctl.federated.topologies import star
from kwsctl.progress import silent


def sessions(data: Path, home: Path, workers: int) -> tuple[Session, Session]:
    """Opens the same federation twice: for one process, and for several."""
    options = FederateOptions(part="full", aggregator="mean")
    base, corpus = start.prepare(prepared(data, home, silent), options, None, 0)
    target, speakers = corpus.train.target.numpy(), corpus.train.speakers
    alone = open_session(base, corpus, clients.populate(target, speakers, options.population, 0), options, 0)
    return alone, dataclasses.replace(alone, workers=workers)


def timed(session: Session, state: State) -> tuple[State, float]:
    """Plays a round; gives the state after it, and seconds by the clock."""
    began = time.perf_counter()
    after, _ = star.advance(session, state, star.Options())
    return after, time.perf_counter() - began


def main() -> None:
    """Prints the times of both, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=pool.chosen_workers(None))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        alone, many = sessions(given.data, Path(home), given.workers)
        one = several = first_state(alone)
        pairs = []
        for number in range(given.rounds):
            one, slow = timed(alone, one)
            several, fast = timed(many, several)
            assert torch.equal(one.weights, several.weights), "the results differ"
            pairs.append((slow, fast))
            print(f"round {number + 1}: {slow:.2f} s by one process, {fast:.2f} s by {given.workers}")
    ratios = [slow / fast for slow, fast in pairs]
    print(
        f"{len(alone.clients)} clients, {len(alone.corpus.train)} clips: {statistics.median(ratios):.2f} "
        f"times sooner with {given.workers} processes ({min(ratios):.2f} to {max(ratios):.2f}), same weights"
    )


if __name__ == "__main__":
    main()
