"""What every architecture promises, checked for each file in `models/`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kwsctl import architecture, registry

NAMES = registry.names(architecture.MODELS)


def network(name: str, n_labels: int = 4, **config: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = architecture.build(name, config, n_labels, 40)
        for module in model.modules():  # statistics as after training, so that a wrong order shows
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [98, 148])
def test_shapes(name: str, frames: int) -> None:
    model = network(name)
    x = features(3, 40, frames)
    assert model(x).shape == (3, 4)
    assert model.embed(x).shape == (3, model.embedding_size)
    torch.testing.assert_close(model.head(model.embed(x)), model(x))


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_scores_the_same_alone_and_in_a_batch(name: str) -> None:
    model, x = network(name), features(5, 40, 98)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_grown_head_keeps_what_it_knew(name: str) -> None:
    from kwsctl.models._blocks import grow_head

    model, x = network(name), features(2, 40, 98)
    before = model(x)
    old = model.head
    model.head = grow_head(old, 2)
    assert torch.equal(model.head.weight[:4], old.weight)
    torch.testing.assert_close(model(x)[:, :4], before)
    assert model(x).shape == (2, 6)


@pytest.mark.parametrize("name", NAMES)
def test_macs_grow_with_the_clip(name: str) -> None:
    model = network(name)
    short, long = architecture.count_macs(model, 98), architecture.count_macs(model, 196)
    assert 1.8 * short < long < 2.2 * short


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pieces", [(1,), (7, 30, 2), (98,), (13,)])
def test_a_stream_scores_as_one_long_pass_with_a_sliding_window(name: str, pieces: tuple[int, ...]) -> None:
    module, model = registry.load(architecture.MODELS, name), network(name)
    if hasattr(module, "NO_STREAM"):
        assert len(module.NO_STREAM) > 20
        return
    stream = module.stream(model, 98)
    x = features(2, 40, 260)
    found, state, start = [], stream.initial_state(2), 0
    with torch.no_grad():
        while start < x.shape[2]:
            size = pieces[len(found) % len(pieces)]
            scores, state = stream(x[:, :, start : start + size], state)
            found.append(scores)
            start += size
        trunk = model.trunk(x)
        trunk = trunk if trunk.ndim == 3 else trunk.mean(2)
        windows = nn.functional.avg_pool1d(trunk, stream.window, 1).transpose(1, 2)
        wanted = model.head(model.pooled(windows) if hasattr(model, "pooled") else windows)
    told = torch.cat(found, 1)
    # What looks ahead beyond the end has not been told yet, by as much as the stated delay.
    missing = wanted.shape[1] - told.shape[1]
    assert 0 <= missing <= -(-stream.delay_frames // stream.stride) + 1
    assert told.shape[1] > 5
    torch.testing.assert_close(told, wanted[:, : told.shape[1]], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_stream_says_why(name: str) -> None:
    module = registry.load(architecture.MODELS, name)
    if hasattr(module, "stream"):
        with pytest.raises(ValueError, match=r"[Gg]roup"):
            module.stream(network(name, norm="group"))
