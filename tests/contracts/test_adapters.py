"""What every way to make a model personal promises, checked for each file in `learning/adapters/`."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import ExtensionError
from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters import interpolated
from kwsctl.learning.adapters._enrolment import Enrolment, margins
from kwsctl.learning.adapters._tuning import changes, tuned
from kwsctl.learning.enroll import ADAPTERS, AUTO
from tests.toy_people import (
    NEW_WORDS,
    WORDS,
    crowd,
    encoder,
    features,
    keyword_model,
    negatives,
    spoken_to,
    wake_model,
)

NAMES = registry.names(ADAPTERS)
HEAD_ONLY = ("prototype", "head", "user_embedding")
CASES = {
    "wake, known": (wake_model, WORDS[0]),
    "keywords, known": (keyword_model, WORDS[1]),
    "keywords, new": (keyword_model, NEW_WORDS[0]),
    "encoder, new": (encoder, NEW_WORDS[0]),
}
PERSON = 20


def task_of(case: str) -> Enrolment:
    make, word = CASES[case]
    base = make()
    rows = [i for i, label in enumerate(negatives().labels) if label != word]
    power = torch.stack([take.power for take in spoken_to(word, PERSON, 3, base)])
    return Enrolment(base, word, power, negatives().features(base.n_frames, rows), seed=1)


@functools.cache
def learned(name: str, case: str) -> Delta:
    delta: Delta = registry.load(ADAPTERS, name).learn(task_of(case))
    return delta


@functools.cache
def other_words() -> Tensor:
    """Other words by others, of which nothing was learned."""
    return features(crowd([w for w in WORDS if w not in WORDS[:2]], (21, 23), 1, "test", 300))


def logits(bundle: Bundle, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = bundle.model()(x)
    return found


every = pytest.mark.parametrize("name", NAMES)
in_every_case = pytest.mark.parametrize("case", list(CASES))


def test_the_folder_is_the_list() -> None:
    assert NAMES == (
        "bias", "ewc", "full", "head", "interpolated", "lora", "prototype", "shift", "sparse",
        "user_embedding",
    )  # fmt: skip
    assert set(AUTO) <= set(NAMES)
    with pytest.raises(ExtensionError, match=r"No adapters named 'protoype'. Did you mean 'prototype'\?"):
        registry.load(ADAPTERS, "protoype")


@every
@in_every_case
def test_a_delta_applies_and_grows_the_labels_by_a_new_word_alone(name: str, case: str) -> None:
    task, delta = task_of(case), learned(name, case)
    personal = task.base.with_delta(delta)
    assert delta.added_labels == ((task.keyword,) if case.endswith("new") else ())
    assert personal.labels == task.base.labels + delta.added_labels
    assert delta.n_clips == 3
    assert (delta.made_by["method"], delta.made_by["keyword"]) == (name, task.keyword)
    assert logits(personal, other_words()).shape == (len(other_words()), len(personal.labels))
    assert all(torch.isfinite(change).all() for change in delta.changes.values())
    assert not any(change.requires_grad for change in delta.changes.values())


@every
@in_every_case
def test_the_person_is_heard_better_and_other_words_are_not(name: str, case: str) -> None:
    task = task_of(case)
    personal = task.base.with_delta(learned(name, case))
    unheard = torch.stack([t.power for t in spoken_to(task.keyword, PERSON, 4, task.base, first_take=500)])
    calls = middle(unheard, task.base.n_frames)
    after = margins(personal, task.keyword, logits(personal, calls))
    strange = margins(personal, task.keyword, logits(personal, other_words()))
    assert float(after.mean()) > float(strange.mean()) + 1.5
    assert float((strange[:, None] < after).float().mean()) > 0.7
    if not task.is_new:
        before = margins(task.base, task.keyword, logits(task.base, calls))
        assert float(after.mean()) > float(before.mean()) + 1
        assert float(after.mean()) > -1  # toy models differ a little from processor to processor


@every
@pytest.mark.parametrize("case", ["keywords, known", "keywords, new"])
def test_what_the_other_labels_say_of_other_words_stays(name: str, case: str) -> None:
    task = task_of(case)
    personal = task.base.with_delta(learned(name, case))
    kept = [i for i in range(len(task.base.labels)) if i != task.row]
    before, after = logits(task.base, other_words())[:, kept], logits(personal, other_words())[:, kept]
    moved = float((after - before).abs().mean() / before.std())
    # In standard deviations of the logits; a user vector weighs all rows and moves them most.
    assert moved <= {"prototype": 0.0, "head": 0.0, "full": 0.2, "ewc": 1.0, "user_embedding": 1.0}.get(
        name, 0.7
    )
    assert float((before.argmax(1) == after.argmax(1)).float().mean()) >= 0.7


@every
def test_the_same_clips_and_seed_give_the_same_change_and_the_base_stays_as_it_is(name: str) -> None:
    one, task = learned(name, "encoder, new"), task_of("encoder, new")
    weights = {key: value.clone() for key, value in task.network.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = registry.load(ADAPTERS, name).learn(task)
    assert again.changes.keys() == one.changes.keys()
    assert all(torch.equal(again.changes[key], one.changes[key]) for key in one.changes)
    assert (again.made_by, again.base_sha256) == (one.made_by, one.base_sha256)
    assert all(torch.equal(value, weights[key]) for key, value in task.network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@every
@in_every_case
def test_what_changes_nothing_but_the_head_changes_nothing_else(name: str, case: str) -> None:
    in_head = [key.startswith("head.") for key in learned(name, case).changes]
    assert all(in_head) == (name in HEAD_ONLY)
    assert any(in_head)


@in_every_case
def test_prototype_and_head_change_one_row(case: str) -> None:
    task = task_of(case)
    for name in ("prototype", "head"):
        weight = learned(name, case).changes["head.weight"]
        assert torch.nonzero(weight.abs().sum(1))[:, 0].tolist() == [task.row]


def test_a_user_vector_weighs_every_row_alike() -> None:
    task, delta = task_of("keywords, known"), learned("user_embedding", "keywords, known")
    factors = delta.changes["head.weight"] / task.head.weight
    torch.testing.assert_close(factors, factors[:1].expand_as(factors), atol=1e-4, rtol=1e-3)


def test_bias_changes_vectors_and_the_head_alone() -> None:
    for key, change in learned("bias", "encoder, new").changes.items():
        assert change.ndim == 1 or key == "head.weight"


def size(delta: Delta) -> int:
    return sum(change.numel() for change in delta.changes.values())


@in_every_case
def test_sizes_are_in_the_order_of_what_they_change(case: str) -> None:
    sizes = {name: size(learned(name, case)) for name in NAMES}
    assert sizes["prototype"] == sizes["head"]
    assert sizes["head"] < sizes["bias"] < sizes["full"]
    assert sizes["lora"] < sizes["full"] / 2 and sizes["interpolated"] < sizes["full"]


def test_lora_gives_two_thin_matrices_for_each_weight() -> None:
    changes: Any = learned("lora", "encoder, new").changes
    ups = [key.removesuffix(":up") for key in changes if key.endswith(":up")]
    assert ups and "word.project.weight" in ups
    for key in ups:
        weight = encoder().weights[key]
        assert changes[f"{key}:up"].shape == (weight.shape[0], 2)
        assert changes[f"{key}:down"].shape == (2, weight[0].numel())


def whole_way(case: str) -> dict[str, Tensor]:
    task = task_of(case)
    return changes(task, tuned(task, interpolated.tuning(task)))


def test_interpolated_goes_the_same_part_of_the_way_in_every_vector_and_in_the_head() -> None:
    target, part = whole_way("keywords, known"), learned("interpolated", "keywords, known").changes
    for key, change in target.items():
        if key in part:
            torch.testing.assert_close(part[key].float(), 0.7 * change, atol=1e-5, rtol=1e-3)
    assert "head.weight" in part


def test_interpolated_keeps_the_strongest_directions_of_a_weight() -> None:
    """What is left out is no larger than the singular values beyond the fourth (Eckart and Young 1936)."""
    target, part = whole_way("keywords, known"), learned("interpolated", "keywords, known").changes
    thin = [key.removesuffix(":up") for key in part if key.endswith(":up")]
    assert thin
    for key in thin:
        whole = 0.7 * target[key].flatten(1)
        kept = part[f"{key}:up"].float() @ part[f"{key}:down"].float()
        left_out = torch.linalg.svdvals(whole)[4:].norm()
        torch.testing.assert_close((whole - kept).norm(), left_out, atol=1e-4, rtol=1e-2)
        assert float(left_out) < 0.9 * float(whole.norm())


def test_leaving_a_clip_out_learns_from_the_others() -> None:
    task = task_of("encoder, new")
    less = task.without([1])
    assert torch.equal(less.power, task.power[[0, 2]]) and torch.equal(less.positives, task.positives[[0, 2]])
    delta = registry.load(ADAPTERS, "prototype").learn(less)
    assert delta.n_clips == 2
    change = delta.changes["head.weight"]
    assert not torch.equal(change, learned("prototype", "encoder, new").changes["head.weight"])
