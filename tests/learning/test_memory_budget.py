"""What an enrolment takes by each method, and what a budget of memory makes of it."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.learning import quantized
from kwsctl.learning.adapters import _sparse, _tuning, full, shift, sparse
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.enroll import costs, enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_cost import bytes_of, cost_of, within
from kwsctl.learning.loop import Batch

from ..toy_people import NEW_WORDS, WORDS, keyword_model, negatives, spoken_to

PERSON = 20


@functools.cache
def task() -> Enrolment:
    base, word = keyword_model(), WORDS[1]
    rows = [i for i, label in enumerate(negatives().labels) if label != word]
    power = torch.stack([take.power for take in spoken_to(word, PERSON, 3, base)])
    return Enrolment(base, word, power, negatives().features(base.n_frames, rows), seed=1)


def limited(budget: int, **changes: object) -> Enrolment:
    found = dataclasses.replace(task(), memory_budget=budget, **changes)
    found.__dict__["contributions"] = {"stem": 0.2, "blocks.2.conv_b": 1.0, "blocks.0.conv_a": -0.3}
    return found


def weights_of(delta_changes: dict[str, Tensor]) -> set[str]:
    return {n.removesuffix(".weight") for n, t in delta_changes.items() if t.ndim > 1}


def test_memory_is_read_in_the_usual_units() -> None:
    assert bytes_of("256KB") == bytes_of("256 k") == 256 * 1024
    assert bytes_of("1.5MB") == 1536 * 1024 and bytes_of("4096") == 4096
    for text in ("0KB", "much", "-3KB", "3TB"):
        with pytest.raises(InputError, match="is no amount of memory"):
            bytes_of(text)


def test_a_batch_in_pieces_learns_the_same() -> None:
    whole, cut = (
        _tuning.tuned(task(), dataclasses.replace(full.tuning(task()), pieces=pieces, steps=4))
        for pieces in (1, 5)
    )
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-3)
    moved = [
        not torch.equal(a, b) for a, b in zip(whole.parameters(), task().network.parameters(), strict=True)
    ]
    assert all(moved)


def test_pieces_are_cut_as_evenly_as_can_be() -> None:
    batch = Batch(torch.arange(10.0)[:, None, None], torch.arange(10), torch.arange(10))
    assert [len(part.target) for part in batch.parts(4)] == [3, 3, 3, 1]
    assert torch.equal(torch.cat([part.rows for part in batch.parts(4)]), batch.rows)
    assert batch.parts(1) == [batch] and len(batch.parts(100)) == 10


def test_what_is_kept_and_learned_falls_from_full_to_the_head() -> None:
    found = {name: cost_of(name, task()) for name in ("full", "bias", "shift")}
    together = [found[name].training_bytes for name in ("full", "bias", "shift")]
    assert together == sorted(together, reverse=True)
    assert found["shift"].peak_activation_bytes < found["bias"].peak_activation_bytes / 20
    assert found["full"].params_touched == found["full"].params
    head = cost_of("head", task())
    assert head.params_touched == task().head.in_features + 1 and head.macs_backward == 0


def test_the_budget_decides() -> None:
    roomy, tight = (cost_of(name, limited(10**9)).training_bytes for name in ("full", "shift"))
    assert within(limited(roomy), roomy) == "full"
    assert within(limited(roomy - 1), roomy - 1) == "sparse"
    smallest = _tuning.spent(limited(10**9), _sparse.tuning((), _tuning.BATCH)).training_bytes
    assert smallest < tight
    assert within(limited(smallest), smallest) == "shift"
    with pytest.raises(InputError, match=r"No method learns in 1 KB; the smallest takes \d+ KB"):
        within(limited(1024), 1024)
    # Without a layer that helps, sparse is biases.
    idle = limited(roomy - 1)
    idle.__dict__["contributions"] = {"stem": -1.0}
    assert within(idle, roomy - 1) == "shift"


def test_an_enrolment_keeps_to_its_budget_and_learns_the_layers_that_help() -> None:
    budget = 100_000
    found = sparse.learn(limited(budget))
    layers = set(found.made_by["layers"])
    assert layers and "blocks.0.conv_a" not in layers
    assert weights_of(dict(found.changes)) == layers | {"head"}
    how = _sparse.fitting(limited(budget), tuple(layers))
    assert _tuning.spent(limited(budget), how).training_bytes <= budget
    only = shift.learn(limited(20_000))
    assert weights_of(dict(only.changes)) == {"head"} and only.made_by["pieces"] > 1
    with pytest.raises(InputError, match=r"Tuning takes \d+ KB even clip by clip, the budget is 1 KB"):
        shift.learn(limited(1024))


def test_layers_that_help_are_found_by_trying() -> None:
    helps = _sparse.contributions(dataclasses.replace(task()))
    assert set(helps) == set(_sparse._layers(task()))
    assert max(helps.values()) > 0


def test_tuning_in_eight_bits_leaves_a_plain_network_near_that_of_full_precision() -> None:
    rounded = dataclasses.replace(task(), precision="w8a8g8")
    how = full.tuning(task())
    plain, found = (_tuning.tuned(t, how) for t in (task(), rounded))
    assert not quantized.layers_of(found) and set(found.state_dict()) == set(plain.state_dict())
    base = task().network
    moved, apart = (
        sum(
            float((a - b).detach().square().sum())
            for a, b in zip(x.parameters(), y.parameters(), strict=True)
        )
        for x, y in ((plain, base), (plain, found))
    )
    assert 0 < apart < moved
    before, after = (_tuning.loss_of(task(), net, "test") for net in (base, found))
    assert after < before
    cheaper = cost_of("full", rounded)
    assert cheaper.peak_activation_bytes < cost_of("full", task()).peak_activation_bytes


def test_enrolment_within_a_budget_says_why() -> None:
    takes = spoken_to(NEW_WORDS[0], PERSON, 2, keyword_model())
    options = EnrollOptions(memory_budget=10**9)
    arguments = (keyword_model(), NEW_WORDS[0], takes, negatives(), options)
    found = enroll(*arguments)
    assert (found.method, found.why) == ("full", "the most that the memory budget allows")
    head = dataclasses.replace(options, method="head")
    assert list(costs(*arguments[:4], head)) == ["head"]
    assert set(costs(*arguments[:4], EnrollOptions())) == {"prototype", "head", "user_embedding"}


def test_a_precision_needs_something_to_compute_in_it() -> None:
    takes = spoken_to(NEW_WORDS[0], PERSON, 2, keyword_model())
    for method in ("auto", "head"):
        with pytest.raises(InputError, match=r"changes the head alone, which has no precision w8a8g8"):
            enroll(
                keyword_model(), NEW_WORDS[0], takes, negatives(), EnrollOptions(method, precision="w8a8g8")
            )
    with pytest.raises(InputError, match="Low-rank additions have no grid"):
        cost_of("lora", dataclasses.replace(task(), precision="w8a8g8"))
    with pytest.raises(InputError, match="no precision 'w16'"):
        EnrollOptions(precision="w16")
