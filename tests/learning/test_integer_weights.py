"""Weights that are stored as integers: what scaling of gradients restores, and that they stay on a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kwsctl.errors import InputError
from kwsctl.learning import integer_weights, quantized
from kwsctl.learning.precision import Quantization
from kwsctl.learning.rounding import ACTIVATION, STORED_SCALE
from kwsctl.learning.traffic import Bits
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions

from ..toy_words import toy_store


def small(**how: Any) -> nn.Module:
    """A convolution and a linear layer whose weights are stored as integers, calibrated."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    quantized.quantize(network, Bits(), Quantization(storage="integer", rounding="nearest", **how), seed=2)
    with quantized.calibrating(network):
        learn(network)
    return network


def learn(network: nn.Module) -> None:
    network.zero_grad()
    x = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(network(x), torch.arange(5) % 3).backward()


def layers(network: nn.Module) -> list[Any]:
    return list(quantized.layers_of(network).values())


def codes(layer: Any) -> Tensor:
    return (layer.weight / layer.get_buffer(STORED_SCALE)).detach()


@pytest.mark.parametrize("weights", ["tensor", "channel"])
def test_without_scaling_a_gradient_is_smaller_by_the_square_of_the_grid(weights: str) -> None:
    scaled, plain = small(weights=weights), small(weights=weights, gradient_scaling=False)
    learn(scaled)
    learn(plain)
    for one, other in zip(layers(scaled), layers(plain), strict=True):
        scale = one.get_buffer(STORED_SCALE)
        torch.testing.assert_close(other.weight.grad, one.weight.grad * scale**2, rtol=1e-5, atol=1e-12)
        width = one.get_buffer(ACTIVATION)
        inputs = (width.max().clamp_min(0) - width.min().clamp_max(0)) / 255
        wanted = one.bias.grad * (scale.flatten() * inputs) ** 2
        torch.testing.assert_close(other.bias.grad, wanted, rtol=1e-5, atol=1e-12)


def test_a_scaled_step_is_the_step_on_the_whole_numbers_that_the_paper_describes() -> None:
    network, rate = small(weights="channel"), 0.3
    learn(network)
    for layer in layers(network):
        scale, before = layer.get_buffer(STORED_SCALE), codes(layer)
        by_codes = layer.weight.grad * scale  # the chain rule: W = s C
        wanted = before - rate * by_codes / scale**2  # divided by s ** 2
        step = layer.weight.detach() - rate * layer.weight.grad
        torch.testing.assert_close(step / scale, wanted, rtol=1e-4, atol=1e-3)


def test_weights_stay_on_the_grid_and_are_rounded_right_on_average() -> None:
    network = small()
    first = layers(network)[0]
    first.weight.requires_grad_(True)
    scale, before = float(first.get_buffer(STORED_SCALE)), codes(first)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    integer_weights.keep_on_grid(optimizer, network)
    after = []
    for _ in range(200):
        with torch.no_grad():
            first.weight.copy_(before * scale)
        network.zero_grad()
        first.weight.grad = torch.full_like(first.weight, -0.25 * scale)  # a quarter of a grid distance
        optimizer.step()
        after.append(codes(first))
    moved = torch.stack(after) - before
    free = before < 127
    torch.testing.assert_close(moved, moved.round(), atol=1e-3, rtol=0)
    assert float(moved[:, free].mean()) == pytest.approx(0.25, abs=0.03)
    assert float(torch.stack(after).max()) < 127.01  # what leaves the grid is clipped
    for layer in layers(network):
        torch.testing.assert_close(codes(layer), codes(layer).round(), atol=1e-3, rtol=0)


def test_the_plain_network_keeps_the_integers_and_nothing_else() -> None:
    network = small()
    weights = [layer.weight.clone() for layer in layers(network)]
    quantized.restore(network)
    assert [type(m) for m in network] == [nn.Conv1d, nn.ReLU, nn.Flatten, nn.Linear]
    assert not list(network.buffers())
    assert all(torch.equal(m.weight, w) for m, w in zip((network[0], network[3]), weights, strict=True))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    integer_weights.keep_on_grid(optimizer, network)
    network[0].weight.grad = torch.full_like(network[0].weight, 1e-4)
    optimizer.step()
    torch.testing.assert_close(network[0].weight, weights[0] - 1e-4)


def test_another_device_begins_with_ranges_of_its_own_and_a_resting_network_rounds_nothing() -> None:
    network = small()
    quantized.begin_anew(network, seed=9)
    for layer in layers(network):
        assert not layer.get_buffer(ACTIVATION).any()
        assert layer.rounding.seed == 9
    with quantized.resting(network), torch.no_grad():
        x = torch.randn(2, 4, 6)
        rested = network(x)
    quantized.restore(network)
    torch.testing.assert_close(rested, network(x).detach())


def test_random_weights_are_not_stored_as_integers(tmp_path: Path) -> None:
    options = TrainOptions(epochs=1, precision="w8a8g8", quantization=Quantization(storage="integer"))
    with pytest.raises(InputError, match=r"storage=integer with kwsctl enroll or adapt"):
        train(toy_store(tmp_path), tmp_path / "m.safetensors", options)
