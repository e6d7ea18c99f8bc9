"""Whole federations: they learn, go on after a kill, refuse bad clients, and keep to what the options say."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kwsctl import bundle
from kwsctl.errors import InputError
from kwsctl.federated.federate import federate, seldom_used
from kwsctl.federated.held_out import measure_own
from kwsctl.federated.options import FederateOptions, Local
from kwsctl.federated.rounds import play
from kwsctl.federated.state import first_state, resumed, save
from tests.toy_people import encoder
from tests.toy_words import toy_store

from .people import options, people, played, session


def figure(log: tuple) -> float:  # type: ignore[type-arg]
    return float(log[-1]["figure"])


def test_a_head_is_learned_and_the_bundle_is_the_base_with_another_head(tmp_path: Path) -> None:
    made = federate(
        people(),
        tmp_path / "f.safetensors",
        options(rounds=12),
        model=encoder(),
        provenance={"data": ["toy"]},
    )
    assert made.held_out is not None and made.held_out.figure >= 0.8 and made.held_out.n == 24
    assert made.clients == 8 and made.rounds == 12 and len(made.per_round) == 12
    assert {row.speaker for row in made.held_out.per_speaker} == {"s20", "s21"}
    assert made.held_out.ci95[0] <= made.held_out.figure <= made.held_out.ci95[1]
    found = bundle.load(made.bundle)
    assert found.sha256 == made.sha256
    for name, weight in encoder().weights.items():
        assert name.startswith("head.") or torch.equal(found.weights[name], weight)
    assert found.lineage["data"] == ["toy"] and found.lineage["clients"] == 8
    # 75 numbers of four bytes for each of eight clients and twelve rounds, and once down before the first.
    assert made.shared == 3 * 24 + 3
    assert made.bytes_up == made.bytes_down == 4 * 75 * 8 * 12
    assert [json.loads(line)["round"] for line in made.log.read_text().splitlines()] == list(range(1, 13))
    assert not (tmp_path / "f.resume.safetensors").exists()
    assert made.epsilon is None and made.refused == {} and made.warnings == ()


def test_a_whole_network_is_learned_from_nothing(tmp_path: Path) -> None:
    quick = FederateOptions(
        rounds=8, network={"width": 0.4, "dropout": 0.0}, aggregator="mean", evaluate_every=8,
        local=Local(rate=0.1, epochs=2, batch_size=6, augment=False),
    )  # fmt: skip
    made = federate(people(), tmp_path / "f.safetensors", quick)
    assert made.held_out is not None and made.held_out.figure >= 0.7
    assert made.per_round[-1]["loss"] < 0.7 * made.per_round[0]["loss"]
    net = bundle.load(made.bundle)
    assert net.config["norm"] == "group" and net.labels == tuple(sorted(net.labels))
    assert made.shared == sum(p.numel() for p in net.model().parameters())


def test_many_heads_at_once_learn_what_one_by_one_learn() -> None:
    """Also with stragglers, FedProx, SCAFFOLD and smoothing, for clients of different sizes."""
    common = {
        "rounds": 3,
        "local": {"proximal": 0.1, "scaffold": True, "smoothing": 0.1, "batch_size": 5, "epochs": 2},
        "attendance": {"stragglers": 0.5},
        "population": {"partition": "quantity_skew", "partition_options": {"clients": 7}},
    }
    at_once = session(**common)
    one_by_one = session(**common)
    object.__setattr__(one_by_one, "options", dataclasses.replace(one_by_one.options, cached=False))
    a, b = (play(one, first_state(one)) for one in (at_once, one_by_one))
    assert at_once.on_embeddings and not one_by_one.on_embeddings
    torch.testing.assert_close(a.weights, b.weights, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a.control, b.control, atol=1e-4, rtol=1e-4)
    assert [x["loss"] for x in a.log] == pytest.approx([x["loss"] for x in b.log], rel=1e-4)


RICH = {
    "rounds": 6,
    "aggregator": "fedadam",
    "uplink": "top_k",
    "uplink_options": {"share": 0.2},
    "downlink": "int8",
    "attendance": {"share": 0.7, "dropout": 0.2, "stragglers": 0.3},
    "population": {"late_share": 0.3, "late_rounds": 3},
    "watch": {"score": 6.0},
}


NETWORK = {
    "part": "full", "cached": False, "rounds": 2, "precision": "w8a8g8", "evaluate_every": 9,
    "local": {"rate": 0.02, "batch_size": 12, "augment": False},
    "attendance": {"share": 0.3},
}  # fmt: skip


def test_clients_learn_in_eight_bits_nearly_what_they_learn_in_full_precision() -> None:
    for values in ({"rounds": 2, "precision": "w8a8g8"}, NETWORK):
        _, plain = played(**{**values, "precision": "fp32"})
        there, found = played(**values)
        assert not torch.equal(plain.weights, found.weights)
        moved = [state.weights - there.first[there.shared] for state in (plain, found)]
        assert float(torch.nn.functional.cosine_similarity(*moved, 0)) > 0.9
        # The shared model is judged, and kept, in full precision.
        rows = there.held_out[:5]
        network = there.bundle(found.weights).model()
        judged = there.resident.logits(there.complete(found.weights), rows)
        wanted = network.head(rows) if there.on_embeddings else network(rows)
        torch.testing.assert_close(judged, wanted.detach(), atol=1e-4, rtol=1e-4)


def test_ranges_and_rounding_are_those_of_a_client_whoever_was_there_before(tmp_path: Path) -> None:
    there, path = session(**NETWORK), tmp_path / "r.safetensors"
    end = play(there, first_state(there))
    halfway = session(**{**NETWORK, "rounds": 1})
    fresh = session(**NETWORK)  # another process: a network that no client has used
    save(play(halfway, first_state(halfway)), fresh, path)
    again = resumed(fresh, path, must=True)
    assert again is not None and again.number == 1
    assert torch.equal(play(fresh, again).weights, end.weights)


def test_shared_weights_are_on_no_grid() -> None:
    with pytest.raises(InputError, match=r"mean of many changes.*storage=float"):
        options(precision="w8a8g8", quantization={"storage": "integer"})
    with pytest.raises(InputError, match="no precision 'int8'"):
        options(precision="int8")


def test_a_federation_goes_on_from_its_checkpoint_to_the_same_bytes(tmp_path: Path) -> None:
    there = session(**RICH)
    whole = play(there, first_state(there))
    half = play(
        dataclasses.replace(there, options=dataclasses.replace(there.options, rounds=3)), first_state(there)
    )
    assert half.number == 3
    save(half, there, tmp_path / "c.safetensors")
    read = resumed(there, tmp_path / "c.safetensors")
    assert read is not None
    again = play(there, read)
    assert torch.equal(again.weights, whole.weights) and torch.equal(again.public, whole.public)
    # The evaluation falls due in other rounds where the run was cut.
    assert [{**line, "figure": 0} for line in again.log] == [{**line, "figure": 0} for line in whole.log]
    other = session(**{**RICH, "rounds": 7})
    assert resumed(other, tmp_path / "c.safetensors") is None
    with pytest.raises(InputError, match="is of another run"):
        resumed(other, tmp_path / "c.safetensors", must=True)
    with pytest.raises(InputError, match="is not there"):
        resumed(there, tmp_path / "d.safetensors", must=True)


def test_whole_networks_that_drop_at_random_end_the_same_every_time(tmp_path: Path) -> None:
    how = options(part="full", rounds=2, evaluate_every=9)
    first, again = (federate(people(), tmp_path / f"{name}.safetensors", how, seed=3) for name in "ab")
    network = bundle.load(tmp_path / "a.safetensors").model()
    assert any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in network.modules())
    assert first.sha256 == again.sha256


CHILD = """
import sys
from pathlib import Path
from kwsctl.federated.federate import federate
from kwsctl import bundle
from tests.federated.people import options, people
folder = Path(sys.argv[1])
base = bundle.load(folder / "base.safetensors")
federate(people(), folder / "f.safetensors", options(rounds=60), model=base, seed=3)
"""


def test_a_killed_federation_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    encoder().save(tmp_path / "base.safetensors")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=Path(__file__).parents[2])
    kept = tmp_path / "f.resume.safetensors"
    while not kept.exists():
        assert child.poll() is None, "the federation ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "f.safetensors").exists()
    went_on, at_once = (
        federate(people(), tmp_path / name, options(rounds=60), model=encoder(), seed=3)
        for name in ("f.safetensors", "g.safetensors")
    )
    assert went_on.resumed_from >= 1 and at_once.resumed_from == 0
    assert went_on.sha256 == at_once.sha256
    assert went_on.log.read_text() == at_once.log.read_text()


def test_garbage_is_refused_counted_and_named_and_the_round_goes_on() -> None:
    there, state = played(attack="garbage", population={"attackers": 0.63}, rounds=8)
    liars = sorted(client.name for client in there.clients if client.attacks)
    assert len(liars) == 5
    for line in state.log:
        assert sorted(line["refused"]) == liars and line["answered"] == 3 and line["lost"] is None
    reasons = " | ".join(state.log[0]["refused"].values())
    for said in (
        "head.bias is not finite",
        "has shape (1, 3), expected (3,)",
        "made on bundle 000000000000, asked for",
        "sends 10,737,418,528 bytes",
        "claims 1000000000 clips",
    ):
        assert said in reasons
    assert figure(state.log) >= 0.7


def test_a_plain_mean_fails_where_a_robust_one_holds() -> None:
    attacked = {"attack": "sign_flip", "attack_options": {"factor": 8.0}, "population": {"attackers": 0.25}}
    clean = figure(played(rounds=8)[1].log)
    assert figure(played(rounds=8, **attacked)[1].log) < clean - 0.2
    there, held = played(rounds=8, aggregator="trimmed_mean", **attacked)
    assert figure(held.log) >= clean - 0.1
    liars = {client.name for client in there.clients if client.attacks}
    assert liars <= set(seldom_used(held))


def test_who_stays_unlike_the_others_is_barred_by_name() -> None:
    attacked = {
        "attack": "gaussian",
        "population": {"attackers": 0.25},
        "watch": {"score": 4.0, "strikes": 2},
    }
    there, state = played(rounds=6, **attacked)
    liars = {client.name for client in there.clients if client.attacks}
    assert liars <= set(state.log[0]["left_out"])
    assert state.log[-1]["asked"] <= 8 - len(liars)


def test_secure_sums_give_what_plain_ones_give() -> None:
    equal = {"population": {"partition": "iid", "partition_options": {"clients": 8}}, "rounds": 4}
    _, plain = played(**equal)
    _, secure = played(**equal, secure={"on": True, "degree": 4})
    torch.testing.assert_close(plain.weights, secure.weights, atol=2e-3, rtol=0)  # 20 bits over +-16
    assert secure.log[0]["bytes_up"] > plain.log[0]["bytes_up"]
    some = {**equal, "attendance": {"dropout": 0.2}}
    _, fewer = played(**some)
    _, recovered = played(**some, secure={"on": True, "degree": 8, "threshold": 0.5})
    assert any(line["dropped"] for line in recovered.log) and not any(line["lost"] for line in recovered.log)
    torch.testing.assert_close(fewer.weights, recovered.weights, atol=2e-3, rtol=0)
    _, robust = played(
        secure={"on": True, "groups": 2 * 2, "degree": 2}, aggregator="median", rounds=2,
        population={"partition": "iid", "partition_options": {"clients": 12}},
    )  # fmt: skip
    assert robust.log[-1]["lost"] is None
    _, lost = played(secure={"on": True}, attendance={"share": 0.2, "sampling": "fixed"}, rounds=2)
    assert "cannot hide in their sum" in lost.log[0]["lost"]


def test_noise_is_counted_and_the_budget_is_kept() -> None:
    private = {"clip": 2.0, "noise": 2.0, "delta": 1e-3}
    _, state = played(privacy=private, rounds=3)
    spent = [line["epsilon"] for line in state.log]
    assert spent == sorted(spent) and spent[0] > 0
    assert state.log[0]["clip"] == 2.0
    budget = (spent[1] + spent[2]) / 2 * 0.8
    there = session(privacy={**private, "budget": budget}, rounds=30)
    with pytest.raises(InputError, match=rf"Round \d+ would spend epsilon = .* of a budget of {budget:g}"):
        play(there, first_state(there))


def test_noise_comes_even_if_nobody_does() -> None:
    rare = {"attendance": {"share": 0.01}, "rounds": 3, "privacy": {"clip": 1.0, "noise": 1.0, "delta": 1e-3}}
    there, state = played(**rare)
    assert [line["answered"] for line in state.log] == [0, 0, 0] and not any(
        line["lost"] for line in state.log
    )
    assert not torch.equal(state.weights, first_state(there).weights)


def test_the_same_seed_gives_the_same_noise_and_another_does_not() -> None:
    private = {"clip": 2.0, "noise": 1.0}
    one, again = (played(privacy=private, rounds=2)[1].weights for _ in range(2))
    assert torch.equal(one, again)
    _, local = played(privacy={**private, "where": "local"}, rounds=2)
    assert not torch.equal(one, local.weights)
    # Both carry the same noise on the mean: z * clip / clients, in two rounds.
    quiet = played(privacy={"clip": 2.0}, rounds=2, aggregator="mean")[1].weights
    assert float((local.weights - quiet).std()) == pytest.approx(float((one - quiet).std()), rel=0.5)


def test_unlabelled_clips_help_once_the_model_is_sure() -> None:
    few = {"population": {"labelled_share": 0.1}, "rounds": 12}
    _, alone = played(**few)
    _, helped = played(**few, local={"pseudo_from": 0.5, "pseudo_to": 1.0, "pseudo_after": 5})
    made_up = [line["labels_made_up"] for line in helped.log]
    assert made_up[:5] == [0] * 5 and made_up == sorted(made_up) and made_up[-1] > 0.5
    assert alone.log[-1]["labels_made_up"] == 0
    assert figure(helped.log) >= figure(alone.log)


def test_personal_layers_stay_on_the_device() -> None:
    there, state = played(personal="bias", rounds=3)
    assert there.layout.names == ("head.weight",)
    biases = {name: kept["personal"][:3] for name, kept in state.devices.items()}
    assert len({tuple(bias.tolist()) for bias in biases.values()}) == 8
    assert torch.equal(there.complete(state.weights)[:3], torch.zeros(3))
    _, alone = played(personal="bias", rounds=3, population={"kept_back": 0.25})
    own = measure_own(there, alone)
    assert own is None  # the other session kept nothing back
    there, state = played(personal="bias", rounds=8, population={"kept_back": 0.25})
    figures = measure_own(there, state)
    assert figures is not None and (figures.clients, figures.n) == (8, 24)
    assert figures.worst_personal <= figures.personal <= 1 and figures.personal > 0.5
    assert all(not set(client.rows) & set(client.kept_back) for client in there.clients)
    with pytest.raises(InputError, match="personal = 'voice' keeps 0 of 2 weights"):
        session(personal="voice")


@pytest.mark.parametrize("graph", ["ring", "exponential"])
def test_gossip_comes_to_agree(graph: str) -> None:
    from kwsctl.federated.topologies.gossip import mixing_matrix, spread

    mixing = mixing_matrix(8, graph)
    torch.testing.assert_close(mixing.sum(0), torch.ones(8))
    torch.testing.assert_close(mixing, mixing.T)
    _, plain = played(topology="gossip", topology_options={"graph": graph}, rounds=10)
    _, coarse = played(
        topology="gossip", topology_options={"graph": graph, "step": 0.5}, uplink="int4", rounds=10
    )
    assert figure(plain.log) >= 0.7 and figure(coarse.log) >= 0.7
    assert spread(plain.devices) < 0.7
    assert sum(line["bytes_up"] for line in coarse.log) < 0.2 * sum(line["bytes_up"] for line in plain.log)


def test_edges_call_the_cloud_less_often() -> None:
    _, star = played(rounds=4)
    _, edges = played(topology="hierarchical", topology_options={"edges": 2, "edge_rounds": 2}, rounds=4)
    assert figure(edges.log) >= figure(star.log) - 0.1
    assert edges.log[0]["bytes_up"] == star.log[0]["bytes_up"] / 4
    one = {"edges": 1, "edge_rounds": 1}
    _, same = played(topology="hierarchical", topology_options=one, rounds=4)
    torch.testing.assert_close(same.weights, star.weights)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secure": {"on": True}, "aggregator": "krum"}, r"krum would see no single client.*secure.groups=6"),
        ({"secure": {"on": True}, "aggregator": "median"}, "would give back the poisoned mean"),
        ({"secure": {"on": True}, "uplink": "top_k"}, r"their masks would not cancel.*uplink=none"),
        ({"secure": {"on": True}, "uplink": "int8"}, "nothing would be saved"),
        ({"secure": {"on": True}, "watch": {"score": 3.0}}, "Anomaly scores need single changes"),
        ({"privacy": {"clip": 1.0, "noise": 1.0}, "aggregator": "trimmed_mean"}, "Use aggregator=mean"),
        ({"privacy": {"clip": 1.0, "noise": 1.0}, "uplink": "sign"}, "counts for more than its clip"),
        ({"local": {"scaffold": True}, "uplink": "int8"}, "SCAFFOLD sends control variates"),
        ({"topology": "gossip", "secure": {"on": True}}, "built for the topology star"),
        ({"cached": True, "part": "head", "aggregator": "fedadm"}, "Did you mean 'fedadam'"),
        ({"server": {"rat": 1}}, "Did you mean 'rate'"),
    ],
)
def test_what_does_not_go_together_is_refused_and_what_works_is_named(wrong: dict, said: str) -> None:  # type: ignore[type-arg]
    from kwsctl.errors import KwsctlError

    with pytest.raises(KwsctlError, match=said):
        session(**wrong)


def test_a_grid_that_is_too_small_is_refused() -> None:
    with pytest.raises(InputError, match=r"the grid of secure aggregation ends at 0.001.*secure.reach"):
        played(secure={"on": True, "reach": 0.001})


def test_a_part_of_a_random_network_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whose rest would stay random"):
        federate(people(), tmp_path / "f.safetensors", options())


def test_a_wake_word_is_federated_with_noise_dealt_out_to_all(tmp_path: Path) -> None:
    store = toy_store(tmp_path, words=("rise",))
    quick = FederateOptions(
        rounds=2, network={"width": 0.25, "dropout": 0.0}, aggregator="mean", evaluate_every=2,
        local=Local(rate=0.1, batch_size=16, augment=False),
    )  # fmt: skip
    made = federate(store, tmp_path / "f.safetensors", quick)
    assert made.clients == 7 and made.per_round[1]["loss"] < made.per_round[0]["loss"]
    assert bundle.load(made.bundle).task == "wake" and 0 < made.held_out.figure <= 1
    assert made.held_out.per_speaker == () and made.held_out.worst_decile is None
