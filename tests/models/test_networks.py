"""What the networks of `models/` have in common beyond the contract, and the sizes that papers state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl import architecture, registry
from kwsctl.models._blocks import Standardize

NAMES = registry.names("kwsctl.models")
WITH_NORM = [name for name in NAMES if hasattr(architecture.resolve_config(name, {}), "norm")]
STREAMING = [name for name in NAMES if hasattr(registry.load("kwsctl.models", name), "stream")]
BINS, FRAMES, LABELS = 40, 98, 5


def network(name: str, seed: int = 0, **config: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture.build(name, config, LABELS, BINS)


def undropped(name: str, **config: object) -> nn.Module:
    """A network that drops nothing in training, whether or not its architecture can."""
    drops = hasattr(architecture.resolve_config(name, {}), "dropout")
    return network(name, **config, **({"dropout": 0.0} if drops else {}))


def trained(name: str) -> nn.Module:
    """A network in evaluation mode whose statistics are not those of a fresh one."""
    model = network(name)
    draw = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=draw))
            module.running_var.copy_(torch.rand(module.num_features, generator=draw) + 0.5)
        if isinstance(module, Standardize):
            module.mean.copy_(torch.randn(BINS, generator=draw))
            module.std.copy_(torch.rand(BINS, generator=draw) + 0.5)
    return model.eval()


def features(clips: int, frames: int = FRAMES) -> Tensor:
    return torch.randn(clips, BINS, frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_weights(name: str) -> None:
    one, same, other = (network(name, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", WITH_NORM)
def test_group_normalization_looks_at_one_clip_also_in_training(name: str) -> None:
    x = features(4)
    for norm, alike in (("group", True), ("batch", False)):
        model = undropped(name, norm=norm).train()
        beside_others = model(torch.cat([x[:1], 3 * x[1:]]))
        assert torch.allclose(model(x)[0], beside_others[0], atol=1e-5) is alike


@pytest.mark.parametrize("name", NAMES)
def test_features_are_standardized_first(name: str) -> None:
    model, x = trained(name), features(2)
    plain = copy.deepcopy(model)
    plain.standardize.mean.zero_()
    plain.standardize.std.fill_(1)
    by_hand = (x - model.standardize.mean[:, None]) / model.standardize.std[:, None]
    torch.testing.assert_close(model(x), plain(by_hand), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_makes_the_same_network(name: str) -> None:
    model, other = trained(name), network(name, seed=9).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(features(2)), other(features(2)))


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    model, x, target = undropped(name).train(), features(10), torch.arange(10) % LABELS
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        loss = fn.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", STREAMING)
def test_any_chunks_stream_every_score_as_early_as_promised(name: str, seed: int) -> None:
    model, x = trained(name), features(2, 400)
    streaming = registry.load("kwsctl.models", name).stream(model, FRAMES)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        trunk = model.trunk(x)
        trunk = trunk.mean(2) if trunk.dim() == 4 else trunk
        pooled = fn.avg_pool1d(trunk, streaming.window, 1).transpose(1, 2)
        wanted = model.head(model.pooled(pooled) if hasattr(model, "pooled") else pooled)
        state, found, start = streaming.initial_state(2), [], 0
        while start < x.shape[2]:
            end = start + int(torch.randint(0, 40, (), generator=draw))  # also no frames at all
            scores, state = streaming(x[:, :, start:end], state)
            found.append(scores)
            start = end
    scores = torch.cat(found, 1)
    trunk_frames = (x.shape[2] - 1 - streaming.delay_frames) // streaming.stride + 1
    assert scores.shape == (2, trunk_frames - streaming.window + 1, LABELS)
    torch.testing.assert_close(scores, wanted[:, : scores.shape[1]], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "config", "count"),
    [  # the papers round, and count the running statistics of TC-ResNet
        ("tcresnet", {"depth": 8}, 66e3),
        ("tcresnet", {"depth": 8, "width": 1.5}, 145e3),
        ("tcresnet", {"depth": 14}, 137e3),
        ("tcresnet", {"depth": 14, "width": 1.5}, 305e3),
        ("dscnn", {"size": "S"}, 24e3),
        ("dscnn", {"size": "M"}, 140e3),
        ("dscnn", {"size": "L"}, 420e3),
    ],
)
def test_sizes_are_those_of_the_papers(name: str, config: dict[str, object], count: float) -> None:
    model = architecture.build(name, config, 12, BINS)
    assert architecture.count_parameters(model) == pytest.approx(count, rel=0.04)


def test_bcresnet_says_which_numbers_of_bins_it_can_take() -> None:
    bcresnet = registry.load("kwsctl.models", "bcresnet")
    assert bcresnet.build(bcresnet.Config(), LABELS, 80).eval()(torch.zeros(1, 80, 30)).shape == (1, LABELS)
    with pytest.raises(ValueError, match="multiple of 40 mel bins, not 64"):
        bcresnet.build(bcresnet.Config(), LABELS, 64)
