"""`kwsctl bench federated` on a few people who say words made of tones."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from kwsctl.bench.federated import FederatedBenchOptions, federated_bench
from kwsctl.bench.federated_attacks import exact
from kwsctl.bench.federated_people import crowd, fewer_clients, fewer_words, folds, inner
from kwsctl.bench.federated_promises import promises
from kwsctl.bench.federated_speed import Speed
from kwsctl.bench.federated_trials import Row
from kwsctl.errors import InputError
from kwsctl.report.federated_tables import federated_tables
from tests.federated.people import people
from tests.toy_people import encoder

SMALL = FederatedBenchOptions(
    folds=2,
    rounds=2,
    attack_rounds=1,
    crowd=20,
    crowd_clips=4,
    network_rounds=1,
    network_words=2,
    tables=("topologies", "crowd"),
)


def test_each_speaker_is_held_out_once_and_never_a_client_then() -> None:
    made = folds(people(), encoder(), 3, 0)
    held_out = [set(fold.corpus.held_out.speakers) for fold in made]
    assert sorted(name for names in held_out for name in names) == sorted({c.speaker for c in people().clips})
    for fold, names in zip(made, held_out, strict=True):
        assert not names & set(fold.corpus.train.speakers)
        table = fold.corpus.embeddings(fold.base, "held_out")
        again = dataclasses.replace(fold.corpus, known={}).embeddings(fold.base, "held_out")
        torch.testing.assert_close(table, again, atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="10 speakers cannot make 11 folds"):
        folds(people(), encoder(), 11, 0)


def test_a_crowd_has_as_many_identities_each_unlike_its_model() -> None:
    fold = folds(people(), encoder(), 2, 0)[0]
    many = crowd(fold, 12, 5, seed=1)
    assert len(set(many.corpus.train.speakers)) == 12 and len(many.corpus.train) == 60
    table, real = many.corpus.embeddings(fold.base, "train"), fold.corpus.embeddings(fold.base, "train")
    nearest = (table @ real.T).amax(1)
    assert bool((nearest < 0.9999).all()) and float(nearest.mean()) > 0.5
    assert many.corpus.held_out is fold.corpus.held_out


def test_tables_are_made_and_laid_out() -> None:
    found = federated_bench(people(), encoder(), SMALL)
    assert (found.speakers, found.clips, found.words) == (10, 120, 3)
    assert [row.name for row in found.references] == ["central training", "local training only"]
    assert all(row.accuracy[0] > 0.9 for row in found.references)  # toy people are told by either
    assert len(found.tables["topologies"]) == 6 and len(found.tables["crowd"]) == 3
    assert found.tables["crowd"][1].facts["clients"] == 20
    assert found.speed.ratio > 1 and found.speed.apart < 1e-3
    console = Console(width=200, record=True)
    console.print(federated_tables(found))
    text = console.export_text()
    assert "10 people, 5 of them held out, 120 clips, 3 words" in text and "what has to hold" in text
    with pytest.raises(InputError, match=r"No table 'atacks'\. Did you mean 'attacks'"):
        federated_bench(people(), encoder(), dataclasses.replace(SMALL, tables=("atacks",)))


@pytest.mark.slow
def test_memory_is_of_processes_and_a_network_begins_with_nothing() -> None:
    found = federated_bench(people(), encoder(), dataclasses.replace(SMALL, tables=("memory", "network")))
    assert [row.facts["clients"] for row in found.tables["memory"]] == [2, 6, 20]
    assert all(row.facts["peak_mb"] > 50 for row in found.tables["memory"])
    whole = "whole network from nothing"
    names = ["whole network, central training", "head on the encoder", whole, f"{whole}, plain averaging"]
    assert [row.name for row in found.tables["network"]] == names
    assert found.tables["network"][2].facts["shared"] > 1000 > found.tables["network"][1].facts["shared"]


def row(name: str, accuracy: float, **more: Any) -> Row:
    return Row(name, (accuracy, accuracy - 0.01, accuracy + 0.01), accuracy - 0.1, **more)


def test_promises_are_kept_or_not_by_what_was_measured() -> None:
    speed = Speed(100, 6.0, 5.5, 7.0, 1e-5)
    tables = {
        "server": [
            row(f"{name}", value, curve=(0.9, value), facts={"setting": "all asked", "aggregator": name})
            for name, value in (("mean", 0.93), ("fedadam", 0.92), ("fedyogi", 0.94))
        ],
        "memory": [
            row("", 0.9, facts={"clients": count, "peak_mb": mb})
            for count, mb in ((100, 300.0), (1000, 310.0))
        ],
        "aggregators": [
            row("mean", 0.93, curve=(0.9, 0.93), rounds_to_target=2),
            row("fedadam", 0.92, curve=(0.8, 0.92)),
            row("fedyogi", 0.94, curve=(0.8, 0.94), rounds_to_target=2),
        ],
        "labels": [
            row("100% labelled", 0.9),
            row("3% labelled", 0.5),
            row("3% labelled, others guessed", 0.7),
        ],
        "compression": [
            row("none", 0.93, bytes_up=3200.0, bytes_down=3200.0),
            row("sign", 0.925, bytes_up=100.0, bytes_down=500.0),
            row("coarse", 0.8, bytes_up=10.0, bytes_down=10.0),
        ],
        "attacks": [
            row("", value, facts={"attack": attack, "aggregator": name})
            for attack, name, value in (
                ("none", "mean", 0.93), ("none", "median", 0.92), ("sign_flip", "mean", 0.5),
                ("sign_flip", "median", 0.92), ("scaled", "mean", 0.5), ("scaled", "median", 0.9),
            )
        ],
    }  # fmt: skip
    whole = "whole network from nothing"
    tables["network"] = [
        row("whole network, central training", 0.95),
        row("head on the encoder", 0.97),
        row(whole, 0.94, curve=(0.5, 0.9, 0.93, 0.94), rounds_to_target=20),
        row(f"{whole}, plain averaging", 0.945, curve=(0.6, 0.8, 0.94, 0.945)),
    ]
    ahead = {"aggregator": "fedadam", "rounds": 50, "seeds": 2, "ahead": (0.01, 0.002, 0.018)}
    tables["network-server"] = [
        row("", 0.93, facts={"aggregator": "mean", "rounds": 50, "seeds": 2}),
        row("", 0.94, facts=ahead),
    ]
    found = promises(row("central training", 0.94), tables, speed, 0.92)
    held = [True, False, True, True, False, True, True, True, True, True, True]
    assert [promise.held for promise in found] == held
    assert found[8].what.startswith(f"server Adam better than plain averaging after 10 rounds, {whole}")
    assert found[8].found == "fedadam 90.00%, mean 80.00%; rounds to target 20 and -"
    assert found[9].what.startswith("server Adam or Yogi better than plain averaging after 50 rounds, whole")
    told = "fedadam 94.00%, mean 93.00%: +1.00 points (+0.20 to +1.80) over people; seeds: 2"
    assert found[9].found == told
    ahead["ahead"] = (0.01, -0.002, 0.018)  # by chance
    assert not promises(row("central training", 0.94), tables, speed, 0.92)[9].held
    assert found[1].found.startswith("77.8%")
    assert found[2].found.startswith("sign: 32.0 times up, 6.4 down, -0.50 points")
    assert found[5].what.startswith("server Adam or Yogi better") and found[5].found.startswith("fedyogi 94")
    assert found[6].found == "300 MB with 100 clients, 310 MB with 1,000 clients"


def test_attackers_are_exactly_a_fifth_and_rates_are_chosen_without_the_held_out() -> None:
    fold = folds(people(), encoder(), 10, 0)[0]
    assert len(set(fold.corpus.train.speakers)) == 9 and exact(fold, 0.2) == 5 and exact(fold, 0.0) == 9
    few = fewer_clients(fold, 5)
    assert len(set(few.corpus.train.speakers)) == 5 and len(few.corpus.train) == 60
    within = inner(fold)
    heard = {*within.corpus.train.speakers, *within.corpus.held_out.speakers}
    assert heard == set(fold.corpus.train.speakers) and len(set(within.corpus.held_out.speakers)) == 2
    table = within.corpus.embeddings(fold.base, "held_out")
    again = dataclasses.replace(within.corpus, known={}).embeddings(fold.base, "held_out")
    torch.testing.assert_close(table, again, atol=1e-5, rtol=1e-4)
    words = fewer_words(fold, 2)
    assert words.base.labels == fold.base.labels[:2] and int(words.corpus.train.target.max()) == 1


def test_a_peak_is_of_the_program_and_not_of_the_one_that_began_it() -> None:
    large = np.ones(100_000_000)  # 800 MB in this process
    told = subprocess.run(
        [sys.executable, "-c", "from kwsctl.bench.federated_memory import _peak_mb; print(_peak_mb())"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert 50 < float(told.stdout) < large.nbytes / 2**20


@pytest.mark.slow
def test_whole_networks_are_compared_over_folds_and_seeds_and_kept(tmp_path: Path) -> None:
    how = dataclasses.replace(SMALL, rounds=2, network_seeds=2, played=2, tables=("network-server",))
    found = federated_bench(people(), encoder(), how, tmp_path)
    mean, adam = found.tables["network-server"]
    assert (mean.facts["aggregator"], adam.facts["aggregator"]) == ("mean", "fedadam")
    assert all(len(one.facts["rates"].split(", ")) == 2 for one in (mean, adam))  # of two folds
    ahead, low, high = adam.facts["ahead"]
    assert ahead == pytest.approx(adam.accuracy[0] - mean.accuracy[0]) and low <= ahead <= high
    kept = sorted((tmp_path / "bench" / "federated").iterdir())
    assert len(kept) == 2 * 2 * 3 + 2 * 2 * 2  # rates are tried in each fold; then both play with each seed
    games = [json.loads(one.read_text()) for one in kept]
    for one in games:
        one["right"] = [1.0] * len(one["right"])
    for path, one in zip(kept, games, strict=True):
        path.write_text(json.dumps(one))
    again = federated_bench(people(), encoder(), how, tmp_path)
    assert all(one.accuracy[0] == 1.0 for one in again.tables["network-server"])  # nothing was played twice
    console = Console(width=200, record=True)
    console.print(federated_tables(again))
    assert "ahead of the mean by +0.00 points" in console.export_text()
