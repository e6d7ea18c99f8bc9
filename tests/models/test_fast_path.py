"""BC-ResNet's compiled loops against its ordinary modules, and the published sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as fn

from kwsctl import architecture

PUBLISHED = {1.0: 9_232, 1.5: 17_154, 2.0: 27_284, 3.0: 54_168, 6.0: 187_812, 8.0: 321_068}


def network(seed: int = 0, **config: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture.build("bcresnet", config, 12, 40)


@pytest.mark.parametrize(("tau", "count"), PUBLISHED.items())
def test_parameters_are_as_many_as_published(tau: float, count: int) -> None:
    assert architecture.count_parameters(network(tau=tau)) == count


def test_operations_are_as_many_as_counted_in_the_published_code() -> None:
    assert architecture.count_macs(network(tau=1.0), 101) == pytest.approx(2.5e6, rel=0.03)
    assert architecture.count_macs(network(tau=8.0), 101) == pytest.approx(85.9e6, rel=0.03)


@pytest.mark.parametrize("frames", [98, 101, 16])
@pytest.mark.parametrize("training", [True, False])
def test_compiled_loops_give_the_outputs_of_the_modules(frames: int, training: bool) -> None:
    fast = network(tau=1.0, dropout=0.0).train(training)
    plain = copy.deepcopy(fast)
    plain.fast = False
    x = torch.randn(5, 40, frames, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fast(x), plain(x), atol=1e-5, rtol=1e-4)
    for (name, found), wanted in zip(fast.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4, msg=name)


def test_compiled_loops_give_gradients_as_good_as_those_of_the_modules() -> None:
    """Single precision costs about 0.1 % either way: what is near zero before a ReLU falls on either side."""
    errors = []
    for seed in range(4):
        fast = network(seed, tau=1.0, dropout=0.0).train()
        plain, exact = copy.deepcopy(fast), copy.deepcopy(fast).double()
        plain.fast = False
        draw = torch.Generator().manual_seed(seed)
        x, target = torch.randn(16, 40, 98, generator=draw), torch.randint(12, (16,), generator=draw)
        for model in (fast, plain, exact):
            fn.cross_entropy(model(x.double() if model is exact else x), target).backward()
        wanted = gradient_of(exact)
        errors.append([float((gradient_of(m) - wanted).norm() / wanted.norm()) for m in (fast, plain)])
    of_fast, of_plain = (sorted(column)[1] for column in zip(*errors, strict=True))
    assert of_fast < 5 * of_plain + 1e-4
    assert of_fast < 0.02


def gradient_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters()])


def test_dropout_is_the_same_draw_on_both_paths() -> None:
    fast = network(tau=1.0, dropout=0.5).train()
    plain = copy.deepcopy(fast)
    plain.fast = False
    x = torch.randn(4, 40, 98, generator=torch.Generator().manual_seed(2))
    outputs = []
    for model in (fast, plain):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            outputs.append(model(x))
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-4)


def test_without_a_compiler_the_modules_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from kwsctl.models import _native

    _native._library.cache_clear()
    monkeypatch.setenv("KWSCTL_NATIVE", "0")
    try:
        assert _native.unavailable() == "KWSCTL_NATIVE=0"
        assert network(tau=1.0).eval()(torch.zeros(1, 40, 98)).shape == (1, 12)
    finally:
        _native._library.cache_clear()


@pytest.mark.parametrize("arch", ["bcresnet", "tcresnet", "dscnn"])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_gradient_reaches_every_weight(arch: str, norm: str) -> None:
    model = architecture.build(arch, {"norm": norm}, 5, 40).train()
    x = torch.randn(6, 40, 98, generator=torch.Generator().manual_seed(3))
    fn.cross_entropy(model(x), torch.arange(6) % 5).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
    assert model.embed(x).shape == (6, model.embedding_size)
