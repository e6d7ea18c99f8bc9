"""The app that is deployed, unmodified and in this process: it learns what the simulation learns."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kwsctl import bundle
from kwsctl.federated.federate import FederateResult, federate
from kwsctl.federated.federate_voices import federate_voices
from tests.toy_people import NEW_WORDS, crowd, encoder, joined

pytest.importorskip("flwr", reason="flwr lives in an environment of its own: make test-flower")
from flwr.app import ArrayRecord, Error, Message, RecordDict

from kwsctl.federated.flower.in_process import federate_on_flower, federate_voices_on_flower
from kwsctl.federated.flower.local_grid import FIRST_NODE, run_here

from .fleets import HELD_OUT, SAID, Fleet, apps, base, fleet, options, recorded, store

pytestmark = pytest.mark.flower


def simulated(folder: Path, **values: Any) -> FederateResult:
    return federate(store(), folder / "simulated.safetensors", options(**values), model=base())


def same(a: Path, b: Path, tolerance: float = 1e-5) -> None:
    first, second = bundle.load(a).weights, bundle.load(b).weights
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=tolerance, rtol=0)


def flown(there: Fleet, tap: Any = None) -> tuple[Path, list[dict[str, Any]]]:
    server, client = apps(there.made)
    run_here(server, client, there.nodes, there.config, tap)
    out = Path(there.config["out"])
    return out, [json.loads(line) for line in out.with_suffix(".log.jsonl").read_text().splitlines()]


def test_the_deployed_app_ends_where_the_simulation_ends(tmp_path: Path) -> None:
    there = fleet(tmp_path, options())
    out, log = flown(there)
    made = federate(recorded(there, tmp_path), tmp_path / "s.safetensors", options(), model=base())
    same(made.bundle, out)
    assert bundle.load(out).labels == SAID
    assert log[-1]["figure"] == made.per_round[-1]["figure"]
    assert [line["answered"] for line in log] == [3, 3]
    assert [line["bytes_up"] for line in log] == [line["bytes_up"] for line in made.per_round]


@pytest.mark.parametrize(
    "values",
    [
        {"attendance": {"share": 0.6}, "rounds": 4},
        {"uplink": "sign", "downlink": "int4", "attendance": {"share": 0.7}, "rounds": 4},
        {"local": {"rate": 3.0, "scaffold": True}},
        {"aggregator": "fednova", "local": {"rate": 6.0, "epochs": 2}},
        {"personal": "bias", "aggregator": "fedadam"},
        {"privacy": {"clip": 1.0, "noise": 0.1}},
        {"aggregator": "median"},
    ],
    ids=lambda values: "-".join(values),
)
def test_both_engines_end_alike(values: dict[str, Any], tmp_path: Path) -> None:
    made = simulated(tmp_path, **values)
    found = federate_on_flower(store(), tmp_path / "f.safetensors", options(**values), model=base())
    same(made.bundle, found.bundle)
    assert found.bytes_up == made.bytes_up and found.epsilon == made.epsilon
    assert not found.refused


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"verification": {"method": "fedaws"}},
        {"privacy": {"clip": 1.0, "noise": 0.1}, "attendance": {"share": 0.7}},
        {"uplink": "int8", "verification": {"words": 2, "clips": 4}},
    ],
    ids=["feduv", "fedaws", "noisy", "joined"],
)
def test_users_learn_to_be_told_apart_alike_on_both_engines(values: dict[str, Any], tmp_path: Path) -> None:
    how = options(task="verification", **{**values, "local": {}})
    said = crowd(NEW_WORDS, range(5), 3), crowd(NEW_WORDS, (HELD_OUT,), 2, "val")
    here, there = (
        play(joined(*said), encoder(), tmp_path / f"{play.__name__}.safetensors", how)
        for play in (federate_voices, federate_voices_on_flower)
    )
    same(here.bundle, there.bundle)
    assert (here.users, here.shared, here.bytes_up, here.epsilon) == (
        there.users, there.shared, there.bytes_up, there.epsilon,
    )  # fmt: skip
    assert there.held_out.eer.mean == pytest.approx(here.held_out.eer.mean, abs=0.02)
    assert bundle.load(there.bundle).lineage["engine"] == "flower"
    assert not list(tmp_path.glob("*.resume.*"))


def test_codes_learn_by_secure_sums_too(tmp_path: Path) -> None:
    how = options(task="verification", local={}, secure={"on": True})
    said = joined(crowd(NEW_WORDS, range(5), 3), crowd(NEW_WORDS, (HELD_OUT,), 2, "val"))
    here, there = (
        play(said, encoder(), tmp_path / f"{play.__name__}.safetensors", how)
        for play in (federate_voices, federate_voices_on_flower)
    )
    same(here.bundle, there.bundle, 1e-2)  # two grids of secure sums, each rounded at random


def test_of_secure_sums_only_masked_vectors_leave(tmp_path: Path) -> None:
    seen: list[RecordDict] = []

    def tap(order: Message, reply: Message) -> None:
        seen.append(reply.content)

    out, log = flown(fleet(tmp_path, options(secure={"on": True})), tap)
    same(simulated(tmp_path).bundle, out, 1e-3)  # a step of Flower's grid is 3e-5, rounded at random
    assert [line["answered"] for line in log] == [3, 3] and log[0]["bytes_up"] > 0
    assert len(seen) == 2 * 4 * 3  # four messages of three devices in two rounds
    counts = [
        record["num_examples"] for c in seen for n, record in c.metric_records.items() if "num_examples" in n
    ]
    assert counts and set(counts) == {1}
    assert all(not record for c in seen for n, record in c.config_records.items() if n.endswith("metrics"))
    assert all(not len(array.data) for c in seen for r in c.array_records.values() for array in r.values())


def test_bad_devices_are_refused_by_number_and_the_round_goes_on(tmp_path: Path) -> None:
    bad = {FIRST_NODE: "nan", FIRST_NODE + 1: "base"}

    def tap(order: Message, reply: Message) -> Message | None:
        content = reply.content
        wrong = bad.get(reply.metadata.src_node_id)
        payload, control = content.array_records["payload"].to_numpy_ndarrays()
        if wrong == "nan":
            numbers = payload.view(np.float32).copy()
            numbers[0] = np.nan
            content["payload"] = ArrayRecord([numbers.view(np.uint8), control])
        if wrong == "base":
            content.config_records["told"]["base"] = "0" * 64
        return None

    out, log = flown(fleet(tmp_path, options()), tap)
    assert log[0]["answered"] == 1 and set(log[0]["refused"]) == {str(node) for node in bad}
    assert "is not finite" in log[0]["refused"][str(FIRST_NODE)]
    assert "made on bundle 000000000000" in log[0]["refused"][str(FIRST_NODE + 1)]
    assert bundle.load(out).labels == SAID


@pytest.mark.parametrize("wrong", ["long", "short", "other", "error"])
def test_whatever_a_device_sends_instead_is_refused(wrong: str, tmp_path: Path) -> None:
    def tap(order: Message, reply: Message) -> Message | None:
        if reply.metadata.src_node_id != FIRST_NODE:
            return None
        content = reply.content
        _, control = content.array_records["payload"].to_numpy_ndarrays()
        if wrong == "other":
            return Message(RecordDict({}), reply_to=order)
        if wrong == "error":
            return Message(Error(code=0, reason="no space"), reply_to=order)
        size = 10_000_000 if wrong == "long" else 3
        content["payload"] = ArrayRecord([np.zeros(size, np.uint8), control])
        return None

    _, log = flown(fleet(tmp_path, options(rounds=1)), tap)
    said = {
        "long": "sends 10,000,000 bytes, at most",
        "short": "A payload of none has 3 bytes",
        "other": "sends something else than a change",
        "error": "failed: no space",
    }
    assert said[wrong] in log[0]["refused"][str(FIRST_NODE)] and log[0]["answered"] == 2


def test_a_device_that_has_lost_its_weights_gets_all_of_them_next_time(tmp_path: Path) -> None:
    known: list[tuple[int, int, int]] = []

    def tap(order: Message, reply: Message) -> None:
        facts = order.content.config_records["round"]
        known.append((int(facts["number"]), reply.metadata.src_node_id, int(facts["known"])))
        if facts["number"] == 0 and reply.metadata.src_node_id == FIRST_NODE:
            lost.append(reply)

    lost: list[Message] = []
    there = fleet(tmp_path, options(uplink="int8", downlink="int8", rounds=3))
    server, client = apps(there.made)

    def forgetful(message: Message, context: Any) -> Message:
        if context.node_id == FIRST_NODE and message.content.config_records["round"]["number"] == 1:
            context.state = RecordDict()
        return client(message, context)

    run_here(server, forgetful, there.nodes, there.config, tap)  # type: ignore[arg-type]
    of_it = {number: told for number, node, told in known if node == FIRST_NODE}
    of_another = {number: told for number, node, told in known if node == FIRST_NODE + 1}
    assert of_it == {0: -1, 1: 0, 2: -1} and of_another == {0: -1, 1: 0, 2: 1}


def test_a_killed_server_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    there = fleet(tmp_path, options(rounds=3))
    checkpoint = Path(there.config["out"]).with_suffix(".resume.safetensors")

    def kill(order: Message, reply: Message) -> None:
        if order.content.config_records["round"]["number"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flown(there, kill)
    assert checkpoint.is_file() and not Path(there.config["out"]).exists()
    out, log = flown(there)
    made = federate(recorded(there, tmp_path), tmp_path / "s.safetensors", options(rounds=3), model=base())
    same(made.bundle, out)
    assert [line["round"] for line in log] == [1, 2, 3] and not checkpoint.exists()


def test_secure_sums_do_without_a_device_that_drops_out_when_masks_are_shared(tmp_path: Path) -> None:
    def tap(order: Message, reply: Message) -> Message | None:
        stages = {record.get("stage") for record in order.content.config_records.values()}
        if reply.metadata.src_node_id == FIRST_NODE and "collect_masked_vectors" in stages:
            return Message(Error(code=0, reason="gone"), reply_to=order)
        return None

    there = fleet(tmp_path, options(secure={"on": True}, rounds=1))
    out, log = flown(there, tap)
    assert log[0]["answered"] == 2 and log[0]["dropped"] == [str(FIRST_NODE)]
    others = recorded(dataclasses.replace(there, nodes=there.nodes[1:]), tmp_path)
    made = federate(others, tmp_path / "s.safetensors", options(rounds=1), model=base())
    same(made.bundle, out, 1e-3)
