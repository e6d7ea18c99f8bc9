"""Networks that rebuild their activations: the same gradients, and memory that depth does not change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kwsctl import architecture
from kwsctl.learning.cost import Cost, measured
from kwsctl.models._reversible import Squeeze

NAMES = ("revtcnet", "revbcresnet")
SHALLOW = {"revtcnet": (2, 2, 2), "revbcresnet": (1, 1, 2, 2)}


def network(name: str, seed: int = 0, **config: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture.build(name, config, 5, 40)


def loss(model: nn.Module, n: int = 3) -> Tensor:
    x = torch.randn(n, 40, 98, generator=torch.Generator().manual_seed(1))
    return nn.functional.cross_entropy(model(x), torch.arange(n) % 5)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    model.zero_grad()
    loss(model).backward()
    return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}


def cost(name: str, **config: Any) -> Cost:
    return measured(network(name, **config), loss, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keeping", ["output", "inputs"])
def test_gradients_are_those_of_ordinary_autograd(name: str, keeping: str) -> None:
    wanted = gradients(network(name, keeping="everything"))
    found = gradients(network(name, keeping=keeping))
    assert set(found) == set(wanted) == set(dict(network(name).named_parameters()))
    largest = max(float(g.abs().max()) for g in wanted.values())
    assert max(float((found[k] - g).abs().max()) for k, g in wanted.items()) < 1e-6 * largest


def error(name: str, seed: int, n: int, **config: Any) -> float:
    """Largest difference of a rebuilt gradient to that of ordinary autograd, relative to the largest."""
    found = []
    for keeping in ("everything", "output"):
        model = network(name, seed, keeping=keeping, **config)
        loss(model, n).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    return float((found[1] - found[0]).abs().max() / found[0].abs().max())


def test_gradients_are_still_right_after_a_hundred_blocks() -> None:
    assert error("revtcnet", 0, 3, blocks=(32, 32, 32)) < 1e-6


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_relu_that_is_nearly_at_zero_is_rebuilt_on_the_same_side(seed: int) -> None:
    # Rebuilt in single precision, gradients of some of these networks are 1e-3 away.
    assert error("revbcresnet", seed, 6, blocks=(2, 2, 2, 2)) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_input_comes_back_from_the_output(name: str) -> None:
    model = network(name, blocks=SHALLOW[name]).eval()
    width = 16 if name == "revtcnet" else 8
    shape = (2, width, 100) if name == "revtcnet" else (2, width, 20, 98)
    a, b = (torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    with torch.no_grad():
        there = model.chain(a, b)
        assert not torch.allclose(there.a.flatten(), a.flatten(), atol=0.1)
        assert there.a.numel() == a.numel()
        back = model.chain.inverse(*there)
    torch.testing.assert_close(back.a, a, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(back.b, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dim", [2, -1])
def test_squeezing_moves_every_number_and_loses_none(dim: int) -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    layer = Squeeze(dim)
    squeezed = layer(x, -x)
    assert squeezed.a.shape == ((2, 6, 2, 6) if dim == 2 else (2, 6, 4, 3))
    even = x[:, :, ::2] if dim == 2 else x[..., ::2]
    assert torch.equal(squeezed.a[:, :3], even)
    back = layer.inverse(*squeezed)
    assert torch.equal(back.a, x) and torch.equal(back.b, -x)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_depth_and_ordinary_memory_does(name: str) -> None:
    deep = tuple(3 * n for n in SHALLOW[name])
    flat, flat_deep = (cost(name, blocks=blocks) for blocks in (SHALLOW[name], deep))
    kept, kept_deep = (cost(name, blocks=blocks, keeping="everything") for blocks in (SHALLOW[name], deep))
    assert flat.activation_bytes == flat_deep.activation_bytes
    assert flat_deep.peak_activation_bytes == flat.peak_activation_bytes
    assert kept_deep.activation_bytes > 2 * kept.activation_bytes
    assert kept.peak_activation_bytes == kept.activation_bytes
    assert flat.peak_activation_bytes < kept.activation_bytes


def test_rebuilding_costs_each_function_once_more_and_checkpointing_nearly_that() -> None:
    found = {k: cost("revtcnet", blocks=(2, 2, 2), keeping=k) for k in ("everything", "inputs", "output")}
    functions = sum(c.macs_forward for c in found["everything"].layers if c.name.startswith("chain"))
    again = {k: c.macs_backward - found["everything"].macs_backward for k, c in found.items()}
    assert again["everything"] == 0
    assert again["output"] == functions
    # A checkpointed function is not run to its end: what its last layer gives is not needed.
    last = {c.name.rpartition(".")[0]: c.macs_forward for c in found["everything"].layers}
    ends = sum(macs for name, macs in last.items() if name.startswith("chain"))
    assert again["inputs"] == functions - ends > 0


def test_the_default_network_is_small_in_memory_beside_the_ordinary_of_its_size() -> None:
    ordinary, reversible = cost("revtcnet", coupled=False), cost("revtcnet")
    assert ordinary.activation_bytes > 11.6 * reversible.activation_bytes
    assert reversible.params == pytest.approx(ordinary.params, rel=0.1)
    assert reversible.macs_forward == pytest.approx(ordinary.macs_forward, rel=0.1)


def test_only_what_learns_gets_a_gradient() -> None:
    model = network("revtcnet", blocks=(1, 1, 1))
    model.requires_grad_(False)
    model.chain.layers[0].first[3].weight.requires_grad_(True)
    found = gradients(model)
    assert list(found) == ["chain.layers.0.first.3.weight"]
    model.chain.keeping = "everything"
    torch.testing.assert_close(gradients(model), found)


def test_without_gradients_nothing_is_kept() -> None:
    model = network("revtcnet", blocks=(1, 1, 1))
    with torch.no_grad():
        x = torch.randn(2, 40, 98)
        assert not model(x).requires_grad
    torch.testing.assert_close(model(x).detach(), model(x).detach())
