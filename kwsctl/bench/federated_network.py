"""Whole networks, from nothing: many more numbers to share than a head has."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import torch

from kwsctl import architecture
from kwsctl.bench.federated_people import Fold, fewer_words
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Row, federated, row_of, row_without_rounds, session_of
from kwsctl.bundle import Bundle
from kwsctl.federated import clients
from kwsctl.federated.held_out import right_answers
from kwsctl.federated.lessons import lesson
from kwsctl.federated.options import FederateOptions
from kwsctl.options import from_mapping
from kwsctl.seeding import stream_seed

ARCH, NETWORK = "tcresnet", {"norm": "group"}
CENTRAL_EPOCHS = 40
WHOLE: dict[str, Any] = {"part": "full", "local": {"rate": 0.1, "epochs": 2}}
ADAPTIVE: dict[str, Any] = {"aggregator": "fedadam", "server": {"rate": 0.01, "tau": 1e-4}}
AVERAGED = {"aggregator": "mean"}
EVALUATED_EVERY = 5


def networks(bench: Cases) -> list[Row]:
    """Federates a network from nothing, by Adam and by averaging, and a head; one fold, fewer words."""
    few = fewer_words(bench.where[0], bench.options.network_words)
    empty = fresh(few, bench.options.seed)
    rounds, seed = bench.options.network_rounds, bench.options.seed
    upper = _central(empty, seed)
    target = 0.98 * upper.accuracy[0]
    rows = [upper]
    cases: tuple[tuple[str, Fold, dict[str, Any]], ...] = (
        ("head on the encoder", few, {"part": "head"}),
        ("whole network from nothing", empty, WHOLE | ADAPTIVE),
        ("whole network from nothing, plain averaging", empty, WHOLE | AVERAGED),
    )
    for name, fold, values in cases:
        played = federated([fold], seed, rounds=rounds, **{"evaluate_every": EVALUATED_EVERY, **values})
        row = row_of(name, played, target, seed, shared=played.sessions[0].layout.size)
        if row.rounds_to_target is not None:  # counted in evaluations, of which the last may come early
            row = dataclasses.replace(
                row, rounds_to_target=min(rounds, EVALUATED_EVERY * row.rounds_to_target)
            )
        rows.append(row)
    return rows


def fresh(fold: Fold, seed: int) -> Fold:
    """Gives a fold that begins with a network of fresh weights.

    Args:
        fold: clients and held-out people.
        seed: of the weights.

    Returns:
        The same people, with another base.
    """
    mean, std = fold.corpus.standardization()
    spec = fold.base.features
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        built = architecture.build(ARCH, NETWORK, len(fold.base.labels), spec.mel_bins)
    weights = {name: weight.clone() for name, weight in built.state_dict().items()}
    weights |= {"standardize.mean": mean, "standardize.std": std.clamp_min(0.1)}
    base = Bundle(
        arch=ARCH,
        config=NETWORK,
        features=spec,
        labels=fold.base.labels,
        task="keywords",
        clip_s=fold.base.clip_s,
        weights=weights,
    )
    return Fold(base, fold.corpus)


def _central(fold: Fold, seed: int) -> Row:
    """Trains the network on all clips of all clients together, by the same local steps."""
    options = from_mapping(FederateOptions, {"part": "full", "aggregator": "mean", "local": {"rate": 0.1}})
    session = session_of(fold, options, seed)
    every = np.arange(len(fold.corpus.train))
    everybody = clients.Client("all", every, np.ones(len(every), dtype=np.bool_))
    began = time.process_time()
    plan = lesson(everybody, fold.corpus.train.target, 0, seed, epochs=CENTRAL_EPOCHS)
    learned = session.resident.learn(session.first, plan, session.inputs, session.work)
    right = right_answers(session, learned.weights)
    spent = time.process_time() - began
    facts = {"shared": session.layout.size, "cpu_s": spent}
    row = row_without_rounds("whole network, central training", right, fold.corpus.held_out.speakers, seed)
    return dataclasses.replace(row, facts=facts)
