"""What every objective of encoders promises, and the figures of each worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl import registry
from kwsctl.errors import ExtensionError
from kwsctl.learning.encoder import OBJECTIVES
from kwsctl.learning.objectives import episodic, prototypical, softmax, triplet
from kwsctl.learning.objectives._episode import episode

NAMES = registry.names(OBJECTIVES)
SCALE = torch.tensor(16.0)
E0, E1, E2 = torch.eye(3)
# At 60 degrees from the first axis.
SLANTED = torch.tensor([0.5, math.sqrt(0.75), 0.0])


def learn(
    name: str, embedding: Tensor, target: Tensor, proxies: Tensor, scale: Tensor = SCALE
) -> tuple[Tensor, float]:
    return registry.load(OBJECTIVES, name).loss(embedding, target, proxies, scale)


def perfect(n_words: int = 6, clips: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings that are the directions of their words, shuffled as batches are."""
    directions = torch.eye(n_words)
    target = torch.arange(n_words).repeat(clips)
    target = target[torch.randperm(len(target), generator=torch.Generator().manual_seed(0))]
    return directions[target], target, directions


def test_the_folder_is_the_list() -> None:
    assert NAMES == ("episodic", "prototypical", "softmax", "triplet")
    assert not any(name.startswith("_") for name in NAMES)
    with pytest.raises(
        ExtensionError, match=r"No objectives named 'prototypal'. Did you mean 'prototypical'\?"
    ):
        registry.load(OBJECTIVES, "prototypal")


@pytest.mark.parametrize("name", NAMES)
def test_perfect_embeddings_lose_less_than_shuffled_ones(name: str) -> None:
    embedding, target, proxies = perfect()
    shuffled = embedding[torch.randperm(len(target), generator=torch.Generator().manual_seed(1))]
    best, right = learn(name, embedding, target, proxies)
    worse, wrong = learn(name, shuffled, target, proxies)
    assert best.ndim == 0
    assert float(best) < 0.05 < 0.5 < float(worse)
    assert right == pytest.approx(len(target))
    assert 0 <= wrong < len(target) / 2


@pytest.mark.parametrize("name", NAMES)
def test_following_the_gradient_lowers_the_loss(name: str) -> None:
    draw = torch.Generator().manual_seed(2)
    raw = torch.randn(24, 8, generator=draw, requires_grad=True)
    proxies = torch.randn(6, 8, generator=draw)
    target = torch.arange(6).repeat(4)
    before, _ = learn(name, fn.normalize(raw, dim=1), target, proxies)
    (slope,) = torch.autograd.grad(before, raw)
    assert torch.isfinite(slope).all() and slope.abs().sum() > 0
    after, _ = learn(name, fn.normalize(raw - 0.05 * slope / slope.norm(), dim=1), target, proxies)
    assert float(after.detach()) < float(before.detach())


@pytest.mark.parametrize("name", ["prototypical", "softmax", "triplet"])
def test_the_names_of_words_do_not_matter_where_none_is_a_stranger(name: str) -> None:
    embedding, target, proxies = perfect()
    noisy = fn.normalize(
        embedding + 0.3 * torch.randn(24, 6, generator=torch.Generator().manual_seed(3)), dim=1
    )
    swap = torch.tensor([3, 5, 0, 1, 4, 2])
    renamed = torch.empty_like(proxies)
    renamed[swap] = proxies
    one, same = learn(name, noisy, target, proxies), learn(name, noisy, swap[target], renamed)
    torch.testing.assert_close(one[0], same[0])
    assert one[1] == pytest.approx(same[1])


def test_an_episode_asks_with_the_first_clip_of_each_word() -> None:
    embedding = torch.stack([E0, E1, E2, SLANTED, E1])
    found = episode(embedding, torch.tensor([7, 4, 7, 7, 4]))
    torch.testing.assert_close(found.query, torch.stack([E1, E0]))  # words in order: 4, 7
    torch.testing.assert_close(found.prototypes, torch.stack([E1, fn.normalize(E2 + SLANTED, dim=0)]))


def test_the_softmax_has_a_margin_of_a_tenth_and_leaves_out_what_is_no_word() -> None:
    embedding, target = torch.stack([E0, E1, E2]), torch.tensor([0, 0, -1])
    value, right = softmax.loss(embedding, target, 5 * torch.stack([E0, E1]), torch.tensor(10.0))
    near = math.log(1 + math.exp(-10 * (1 - 0.1)))  # its own cosine is 1, the other one 0
    far = math.log(1 + math.exp(10 * (1 + 0.1)))  # its own cosine is 0, the other one 1
    assert float(value) == pytest.approx((near + far) / 2, rel=1e-5)
    assert right == 1


def test_the_prototypical_loss_compares_with_the_mean_of_the_others() -> None:
    embedding = torch.stack([E0, E0, SLANTED, SLANTED])
    value, right = prototypical.loss(embedding, torch.tensor([0, 0, 1, 1]), E0[None], torch.tensor(2.0))
    assert float(value) == pytest.approx(math.log(1 + math.exp(2 * (0.5 - 1))), rel=1e-5)
    assert right == 4


def test_the_episodic_loss_takes_strangers_for_none_of_them() -> None:
    # Of three words two are enrolled (70 %); the first clip is of word 0, so that word 2 is the stranger.
    embedding = torch.stack([E0, E1, E2, E0, E1, E2])
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    value, right = episodic.loss(embedding, target, E0[None], torch.tensor(4.0))
    known = math.log(1 + math.exp(4 * (0.0 - 1)) + math.exp(4 * (0.5 - 1)))
    stranger = math.log(1 + 2 * math.exp(4 * (0.0 - 0.5)))
    assert float(value) == pytest.approx((2 * known + stranger) / 3, rel=1e-5)
    assert right == 6
    # A stranger who sounds like an enrolled word is told wrong.
    alike, right = episodic.loss(torch.stack([E0, E1, E0, E0, E1, E0]), target, E0[None], torch.tensor(4.0))
    assert float(alike) > float(value) and right == pytest.approx(4)


def test_the_triplet_loss_takes_the_farthest_companion_and_the_nearest_stranger() -> None:
    embedding, target = torch.stack([E0, SLANTED, E2]), torch.tensor([0, 0, 1])
    value, right = triplet.loss(embedding, target, E0[None], SCALE)
    # Companions are 1 apart, strangers sqrt(2); the last word is alone, its companion is itself.
    pair = 1 - math.sqrt(2) + 0.5
    alone = max(0.0, 0 - math.sqrt(2) + 0.5)
    assert float(value) == pytest.approx((2 * pair + alone) / 3, abs=1e-4)
    assert right == 3
    _, right = triplet.loss(torch.stack([E0, E2, SLANTED]), target, E0[None], SCALE)
    assert right == 1  # both of the first word are nearer to the stranger than to one another
