"""The simulator keeps clips apart and the truth right, and the tables say what the cases say."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from kwsctl.bench import life, life_test
from kwsctl.bench.continual import Case, continual
from kwsctl.bench.continual_promises import promises
from kwsctl.bench.continual_rows import Labels, Row
from kwsctl.bench.continual_summary import summary
from kwsctl.bench.life_options import ContinualOptions
from kwsctl.bench.life_world import World
from kwsctl.errors import InputError
from kwsctl.evaluation.streams import ScoreStream
from kwsctl.features.logmel import logmel
from kwsctl.report.continual_table import continual_table
from tests import toy_people
from tests.toy_people import WORDS


@functools.cache
def crowd() -> toy_people.ClipStore:
    return toy_people.crowd(WORDS[:6], range(8), 6)


def test_no_clip_has_two_uses() -> None:
    draw = np.random.default_rng(0)
    parts = life.cast_of(crowd(), "s1", WORDS[0], shots=2, heard=2, generator=draw)
    rows = np.concatenate([getattr(parts, f.name) for f in dataclasses.fields(parts)])
    assert len(set(rows.tolist())) == len(rows) == 36
    assert {crowd().clips[i].label for i in np.concatenate([parts.enrolled, parts.heard, parts.tested])} == {
        WORDS[0]
    }


def test_the_truth_is_where_something_is_said() -> None:
    draw = np.random.default_rng(1)
    stream = life.spoken(crowd(), [(0, "keyword"), (40, "other")], draw)
    level = np.sqrt(np.convolve(np.square(stream.samples), np.ones(1600) / 1600, "same"))
    for said in stream.said:
        inside = level[round(said.start_s * 16_000) : round(said.end_s * 16_000)]
        assert inside.max() > 20 * level[: 2 * 16_000].max()


def test_noise_is_as_loud_as_asked_for() -> None:
    draw = np.random.default_rng(2)
    noise = draw.normal(size=16_000).astype(np.float32)
    heard = life.surroundings(48_000, draw, noise, 6.0)
    assert 20 * np.log10(life.LEVEL / heard.std()) == pytest.approx(6.0, abs=0.1)


def test_a_stream_is_scored_as_a_device_hears_it_and_powers_of_noise_add_up() -> None:
    bundle = toy_people.keyword_model()
    stream = life.spoken(crowd(), [(0, "keyword"), (9, "other")], np.random.default_rng(3))
    heard = life_test.heard(stream, bundle)
    whole = logmel(torch.from_numpy(stream.samples)[None], bundle.features)[0]
    assert heard.power.shape == whole.shape
    quiet = life_test.pooled(bundle, heard.power, None)
    again = life_test.pooled(bundle, heard.power / 2, heard.power.float() / 2)
    torch.testing.assert_close(quiet, again, atol=2e-2, rtol=2e-2)


def stream_of(values: list[float]) -> ScoreStream:
    scores = np.array(values)[:, None]
    return ScoreStream(("w",), scores, 1.0 + 0.1 * np.arange(len(values)), 0.1, 3600 * 2.0)


def test_recall_is_counted_at_one_false_alarm_in_two_hours() -> None:
    others = [0.0] * 300
    others[50:55], others[150:155] = [0.9] * 5, [0.6] * 5
    mine = [0.0] * 100
    mine[12:17], mine[52:57] = [0.8] * 5, [0.5] * 5
    said = [life.Said(0, 1.7, 2.4, "keyword"), life.Said(1, 5.7, 6.4, "keyword")]
    found = life_test.tested(stream_of(mine), said, stream_of(others), [], own_threshold=0.4)
    assert (found.recall, found.own_recall, found.own_false_alarms) == (0.5, 1.0, 1.0)
    masked = [life.Said(2, 5.8, 6.6, "impostor"), life.Said(3, 15.8, 16.6, "impostor")]
    forgiven = life_test.tested(stream_of(mine), said, stream_of(others), masked, own_threshold=0.4)
    assert (forgiven.recall, forgiven.impostors) == (1.0, 1.0)


def case(speaker: str, before: float, after: float, oracle: float, seed: int = 0) -> Case:
    methods = {
        name: {
            "recall": recall, "own_recall": recall, "own_false_alarms": 0.5, "own_words": 0.0,
            "impostors": 0.0, "forgotten": 0.0, "rolled_back": why, "bytes": 400,
        }
        for name, recall, why in (
            ("none", before, ""), ("head", after, "x"), ("oracle-head", oracle, ""), ("loop", after, 1),
        )
    }  # fmt: skip
    labels = {
        "positive/keyword": 17,
        "positive/impostor": 1,
        "positive/own": 2,
        "negative/other": 99,
        "negative/keyword": 1,
    }
    return Case("speaker", speaker, "w", labels, 20, methods, seed)


def test_the_table_says_gains_losses_and_shares() -> None:
    found = summary([case("a", 0.5, 0.9, 1.0), case("b", 0.6, 0.5, 0.9)])
    row = next(row for row in found.rows if row.method == "head")
    assert row.gain[0] == pytest.approx(15.0)
    assert row.worst == pytest.approx(-10.0)
    assert row.oracle_share == pytest.approx(15 / 40)
    assert row.rolled_back == 2
    (labels,) = found.labels
    assert (labels.precision, labels.yielded, labels.negative_precision) == (0.85, 0.85, 0.99)
    assert labels.any_voice == 0.9
    shown = io.StringIO()
    Console(file=shown, width=200).print(continual_table(found))
    assert "+15.0" in shown.getvalue()


def test_lives_of_one_person_do_not_pass_for_people() -> None:
    draws = [[case("a", 0.5, 0.9, 1.0, i), case("b", 0.6, 0.5, 0.9, i)] for i in range(8)]
    once, often = (summary(cases).rows for cases in (draws[0], list(itertools.chain(*draws))))
    for one, many in zip(once, often, strict=True):
        assert (many.recall, many.gain) == (pytest.approx(one.recall), pytest.approx(one.gain))
        assert (one.people, one.lives, many.people, many.lives) == (2, 2, 2, 16)
    losers = {row.method: row.losers for row in often}
    assert losers == {"none": 0, "head": 8, "oracle-head": 0, "loop": 8}
    (told,) = [p.found for p in summary(draws[0]).promises if "nobody" in p.what]
    assert told.endswith("1 of 2 do")


def labels_of(scenario: str, **changed: Any) -> Labels:
    usual = {
        "precision": 0.97, "any_voice": 0.99, "positives": 100, "yielded": 0.6, "calls": 160,
        "negative_precision": 0.995, "negatives": 400,
    }  # fmt: skip
    return Labels(scenario, **(usual | changed))


def row_of(scenario: str, method: str, gain: float = 16.0, **changed: Any) -> Row:
    usual = {
        "recall": (0.5, 0.4, 0.6), "gain": (gain, gain - 5, gain + 5), "oracle_share": 0.6, "worst": -1.0,
        "own_recall": 0.5, "own_worst": -1.0, "own_false_alarms": 1.0, "own_words": 0.0, "impostors": 0.0,
        "forgotten": 0.3, "rolled_back": 0, "bytes": 0, "macs": 0, "people": 2, "lives": 2, "losers": 0,
    }  # fmt: skip
    return Row(scenario, method, **(usual | changed))


def kept(labels: Labels, *rows: Row) -> dict[str, bool]:
    """Whether each promise is kept, by the first word behind the scenario."""
    found = promises([labels], rows)
    return {promise.what.partition(": ")[2].split(" ")[0]: promise.held for promise in found}


def test_what_adapting_has_to_hold_is_said_of_every_scenario() -> None:
    weak = [row_of("both", "loop"), row_of("both", "forward", 12.0), row_of("both", "full", 20.0)]
    every = {"97%", "99.5%", "60%", "16", "inference", "nobody", "at"}
    assert kept(labels_of("both"), *weak) == dict.fromkeys(every, True)
    assert kept(labels_of("speaker"), row_of("speaker", "loop")).keys() == every - {"16", "inference"}


@pytest.mark.parametrize(
    ("broken", "labels", "row", "forward"),
    [
        ("97%", {"precision": 0.969}, {}, 12.0),
        ("97%", {"yielded": 0.59}, {}, 12.0),
        ("99.5%", {"negative_precision": 0.994}, {}, 12.0),
        ("60%", {}, {"oracle_share": 0.59}, 12.0),
        ("16", {}, {"gain": (15.9, 10.0, 20.0)}, 12.0),
        ("inference", {}, {}, 11.9),
        ("nobody", {}, {"worst": -1.1}, 12.0),
        ("nobody", {}, {"own_worst": -1.1}, 12.0),
        ("at", {}, {"forgotten": 0.31}, 12.0),
    ],
)
def test_a_promise_that_is_not_kept_is_said(
    broken: str, labels: dict[str, Any], row: dict[str, Any], forward: float
) -> None:
    weak = [
        dataclasses.replace(row_of("both", "loop"), **row),
        row_of("both", "forward", forward),
        row_of("both", "full", 20.0),
    ]
    found = kept(labels_of("both", **labels), *weak)
    assert [name for name, held in found.items() if not held] == [broken]


def test_in_a_hostile_stream_nobody_loses_with_the_guard_and_it_is_said_what_happens_without() -> None:
    rows = [
        row_of("wrong", "loop"),
        row_of("wrong", "head", own_worst=-2.0, rolled_back=8),
        row_of("wrong", "head-unguarded", own_worst=-100.0),
    ]
    loop, guarded = promises([labels_of("wrong")], rows)[2:]
    assert loop.held and not guarded.held
    assert guarded.found == "-2.0, 8 updates rolled back; no guard -100"


def test_a_life_is_simulated_once_and_what_was_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ContinualOptions(
        people=1, shots=2, heard=2, repeats=2, own=6, others=10, impostors=1, hours=0.05,
        scenarios=("speaker",), methods=("none", "head"),
    )  # fmt: skip
    given = crowd(), toy_people.encoder(), toy_people.negatives(), options, tmp_path
    (one,) = continual(*given)
    assert set(one.methods) == {"none", "head", "loop", "loop-asked"}
    assert one.calls == 4
    assert 0 <= one.methods["head"]["recall"] <= 1
    (kept,) = (tmp_path / "bench" / "continual").iterdir()
    assert json.loads(kept.read_text())["keyword"] == one.keyword

    def again(*_: object) -> None:
        raise InputError("done again")

    monkeypatch.setattr("kwsctl.bench.continual._simulated", again)
    assert continual(*given)[0].methods == one.methods
    for changes in ({"people": 2}, {"draws": 2}, {"seed": 1}):  # other people or days, other cases
        with pytest.raises(InputError, match="done again"):
            continual(*given[:3], dataclasses.replace(options, **changes), tmp_path)  # type: ignore[arg-type]


def test_each_draw_is_what_its_seed_alone_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lived(world: World, scenario: str, number: int, *_: object) -> Case:
        speaker, keyword, _half = world.who(number)
        return Case(scenario, speaker, keyword, {}, world.options.seed, {"none": {}}, world.options.seed)

    monkeypatch.setattr("kwsctl.bench.continual._simulated", lived)
    options = ContinualOptions(
        people=2, shots=2, heard=2, hours=0.05, scenarios=("speaker",), methods=("none",), seed=4
    )
    given = crowd(), toy_people.encoder(), toy_people.negatives()
    told: list[tuple[int, int | None]] = []
    both = continual(
        *given, dataclasses.replace(options, draws=2), tmp_path / "both", lambda *done, **_: told.append(done)
    )
    seeds = [continual(*given, dataclasses.replace(options, seed=s), tmp_path / str(s)) for s in (4, 5)]
    assert both == seeds[0] + seeds[1]
    assert [one.seed for one in both] == [4] * 2 + [5] * 2
    assert told[-1] == (4, 4) and [done for done, _ in told] == sorted(done for done, _ in told)
    with pytest.raises(InputError, match="draws"):
        dataclasses.replace(options, draws=0)
