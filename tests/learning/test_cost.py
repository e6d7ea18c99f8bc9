"""The cost meter: what it counts is what arithmetic on shapes says, and what autograd really keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kwsctl import architecture, registry
from kwsctl.learning import cost, quantized
from kwsctl.learning.cost import measured
from kwsctl.learning.lean import lean_activations
from kwsctl.learning.precision import Quantization
from kwsctl.learning.saved_activations import saved_activations
from kwsctl.learning.traffic import Bits, Shape, traffic
from kwsctl.learning.train_cost import train_cost
from kwsctl.learning.train_options import TrainOptions

from ..toy_words import toy_store

FLOAT = 4


def features(n: int = 4) -> Tensor:
    return torch.randn(n, 40, 98, generator=torch.Generator().manual_seed(0))


def network(name: str, **config: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return architecture.build(name, config, 5, 40).eval()


def loss(model: nn.Module, n: int = 4) -> Tensor:
    return nn.functional.cross_entropy(model(features(n)), torch.arange(n) % 5)


class Small(nn.Module):
    """Two layers of which everything can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(6, 4, 3, padding=1, bias=False)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.conv(x).square().mean(2))
        return found


def test_a_small_network_is_counted_as_by_hand() -> None:
    model = Small()
    found = measured(model, lambda net: net(torch.randn(3, 6, 10)).sum(), 3)
    conv, head = found.layers
    assert (conv.macs_forward, head.macs_forward) == (3 * 10 * 4 * 18, 3 * 4 * 2)
    # No gradient goes to the features: of the convolution only that of the weight.
    assert (conv.macs_backward, head.macs_backward) == (conv.macs_forward, 2 * head.macs_forward)
    # The features, what the convolution gave (squared), and what the head was given.
    assert found.activation_bytes == FLOAT * (3 * 6 * 10 + 3 * 4 * 10 + 3 * 4)
    assert found.params == found.params_touched == 72 + 10
    assert found.gradient_bytes == FLOAT * 82 and found.optimizer_bytes == 2 * FLOAT * 82
    assert found.training_bytes == found.peak_activation_bytes + 3 * FLOAT * 82
    assert all(p.grad is None for p in model.parameters())
    assert found.peak_process_bytes > 50 * 2**20


def test_memory_that_several_nodes_save_counts_once_and_weights_do_not() -> None:
    x, weight = torch.ones(100, requires_grad=True), nn.Linear(1, 1)
    with saved_activations(weight) as saved:
        y = (x * 2).sin()
        z = y * y + y.exp()
        inner = saved.bytes
        z.sum().backward()
    # x * 2 by sin, y by the product (twice) and what exp gave by exp.
    assert inner == FLOAT * 300
    assert saved.peak_bytes == inner and saved.bytes == 0
    with saved_activations(weight) as saved:
        weight.weight.square().sum().backward()
    assert saved.peak_bytes == 0


def test_layers_that_are_frozen_cost_no_gradient() -> None:
    model = network("tcresnet")
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    found = measured(model, loss, 4)
    assert found.params_touched == sum(p.numel() for p in model.head.parameters())
    assert found.macs_backward == found.layers[-1].macs_backward == found.layers[-1].macs_forward
    assert [layer.learns for layer in found.layers] == [False] * 10 + [True]
    assert found.activation_bytes < 5000


@pytest.mark.parametrize("name", registry.names(architecture.MODELS))
def test_macs_are_those_that_the_network_states(name: str) -> None:
    model = network(name)
    found = measured(model, loss, 4)
    stated = architecture.count_macs(model, 98)
    assert found.macs_forward / 4 == pytest.approx(stated, rel=0.01)
    assert found.macs_backward > found.macs_forward


@pytest.mark.parametrize("name", ["revtcnet", "revbcresnet"])
def test_what_is_computed_anew_costs_a_forward_pass_at_most_and_gradients_once(name: str) -> None:
    kept, inputs, output = (
        measured(network(name, keeping=keeping), loss, 4) for keeping in ("everything", "inputs", "output")
    )
    assert kept.macs_forward == inputs.macs_forward == output.macs_forward
    for anew in (inputs, output):
        assert 0 < anew.macs_backward - kept.macs_backward <= kept.macs_forward


def test_bytes_moved_are_those_of_the_published_model() -> None:
    # MobileNetV2, 1x1 16 -> 96 at 112 x 112, in eight bits: 7.8 times as much with dynamic ranges.
    wide = traffic(Shape(16 * 96, 16 * 112 * 112, 96 * 112 * 112), Bits())
    assert (wide.forward, wide.forward_dynamic) == (1406464, 1406464 + 8 * 96 * 112 * 112)
    assert wide.forward_dynamic / wide.forward == pytest.approx(7.8, abs=0.1)
    # ResNet18, 3x3 512 -> 512 at 7 x 7: the weight is nearly all.
    deep = traffic(Shape(9 * 512 * 512, 512 * 49, 512 * 49), Bits())
    assert deep.forward_dynamic / deep.forward == pytest.approx(1.1, abs=0.05)
    first = traffic(Shape(10, 100, 100, passes_gradient=False, learns=False), Bits())
    assert first.backward == first.backward_dynamic == 0
    half = traffic(Shape(10, 100, 100), Bits(4, 4, 4))
    assert half.forward == 105 and half.backward == 105 + 100 + 40
    assert half.backward_dynamic - half.backward == 2 * 4 * 100


@pytest.mark.parametrize("name", ["tcresnet", "duet", "dscnn", "bcresnet"])
def test_biases_learn_without_activations_and_gradients_stay(name: str) -> None:
    model = network(name)
    for key, part in model.named_parameters():
        part.requires_grad_(key.endswith("bias"))
    model.fast = False
    plain = measured(model, loss, 4)
    loss(model).backward()
    wanted = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}

    def lean(net: nn.Module) -> Tensor:
        with lean_activations():
            return loss(net)

    found = measured(model, lean, 4)
    lean(model).backward()
    for key, gradient in wanted.items():
        torch.testing.assert_close(model.get_parameter(key).grad, gradient)
    assert found.activation_bytes < plain.activation_bytes / 8
    assert found.params_touched == plain.params_touched
    assert found.macs_backward == plain.macs_backward
    with lean_activations(), torch.no_grad():
        torch.testing.assert_close(model(features()), model.eval()(features()))


def test_a_layer_that_learns_keeps_its_input_and_no_other() -> None:
    model = network("tcresnet")
    for key, part in model.named_parameters():
        part.requires_grad_(key.endswith("bias"))

    def lean(net: nn.Module) -> Tensor:
        with lean_activations():
            return loss(net)

    without = measured(model, lean, 4).activation_bytes
    layer = model.blocks[1].conv_b
    layer.weight.requires_grad_(True)
    more = measured(model, lean, 4).activation_bytes - without
    assert more == FLOAT * 4 * layer.in_channels * 25


def test_quantized_activations_are_kept_in_a_byte_each() -> None:
    model = nn.Sequential(nn.Conv1d(6, 4, 3, bias=False))
    x = torch.randn(3, 6, 10)
    assert measured(model, lambda net: net(x).sum(), 3).activation_bytes == FLOAT * x.numel()
    quantized.quantize(model, Bits(), Quantization())
    assert measured(model, lambda net: net(x).sum(), 3).activation_bytes == x.numel()
    model.requires_grad_(False)
    x.requires_grad_(True)
    assert measured(model, lambda net: net(x).sum(), 3).activation_bytes == 0


def test_a_training_step_of_every_task_is_measured(tmp_path: Path) -> None:
    store = toy_store(tmp_path)
    options = TrainOptions(network={"width": 0.5}, batch_size=8)
    found = train_cost(store, options)
    assert found.batch_size == 8 and found.bits == Bits()
    twice = train_cost(store, dataclasses.replace(options, batch_size=16))
    assert twice.macs_forward == 2 * found.macs_forward
    sgd = train_cost(store, dataclasses.replace(options, optimizer="sgd", precision="w4a4g4"))
    assert sgd.optimizer_bytes == found.optimizer_bytes // 2
    assert sgd.bits == Bits(4, 4, 4) and sgd.moved_static < found.moved_static
    assert sgd.activation_bytes < found.activation_bytes
    encoder = dataclasses.replace(options, arch="duet", objective="prototypical", network={"width": 0.5})
    assert train_cost(store, encoder).params_touched > 0


def test_the_meter_leaves_fast_loops_as_they_were() -> None:
    model = network("bcresnet")
    fast = model.fast
    measured(model, loss, 4)
    assert model.fast == fast
    assert not model.stem._forward_hooks


def test_optimizers_that_are_known() -> None:
    assert cost.STATES == {"adamw": 2, "sgd": 1, "plain": 0}
