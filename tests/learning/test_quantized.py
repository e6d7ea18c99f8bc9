"""Quantized training: grids, estimators, gradients, resumption, and int8 that gives the same sums."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kwsctl import architecture, bundle, registry
from kwsctl.errors import ExtensionError, InputError
from kwsctl.learning import integer, layer_products, quantized
from kwsctl.learning.estimators._range import Range
from kwsctl.learning.grids import grid_of, weight_grid
from kwsctl.learning.precision import ESTIMATORS, Quantization, bits_of
from kwsctl.learning.rounding import GRADIENT
from kwsctl.learning.traffic import Bits
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions

from ..toy_words import toy_store

QUICK = TrainOptions(
    network={"width": 0.5, "dropout": 0.1},
    epochs=4,
    batch_size=16,
    ema_decay=0.8,
    warmup_epochs=1,
    learning_rate=0.01,
    precision="w8a8g8",
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(name: str = "tcresnet", **config: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return architecture.build(name, config, 5, 40).eval()


def step(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gives logits and all gradients end to end."""
    model.zero_grad()
    logits = model(x)
    nn.functional.cross_entropy(logits, torch.arange(len(x)) % 5).backward()
    return logits.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def calibrated(model: nn.Module, x: Tensor, bits: Bits | None = None, **how: Any) -> nn.Module:
    quantized.quantize(model, bits or Bits(), Quantization(**how), seed=1)
    with quantized.calibrating(model):
        step(model, x)
    return model


def test_zero_is_a_point_of_every_grid_and_nothing_leaves_it() -> None:
    for found in (Range(-0.3, 2.0), Range(0.5, 2.0), Range(-3.0, -1.0), Range(0.0, 0.0)):
        for symmetric in (False, True):
            grid = grid_of(found, 4, symmetric=symmetric)
            x = torch.tensor([0.0, -9.0, 9.0, 0.7])
            codes = grid.codes(x)
            assert codes[0] == 0 and codes[1] == grid.least and codes[2] == grid.most
            assert grid.most - grid.least == (14 if symmetric else 15)
            assert torch.equal(grid.restored(grid.stored(codes)), codes)
    wide = grid_of(Range(-1.0, 2.0), 8, symmetric=False)
    x = torch.linspace(-1, 2, 1000)
    assert float((wide.codes(x) * wide.scale - x).abs().max()) <= 0.5001 * float(wide.scale)


def test_rounding_at_random_is_right_on_average_and_to_the_nearest_is_not() -> None:
    grid = grid_of(Range(0.0, 15.0), 4, symmetric=False)
    x = torch.full((20_000,), 6.3)
    noise = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    assert abs(float(grid.codes(x, noise).mean()) - 6.3) < 0.02
    assert float(grid.codes(x).mean()) == 6.0


def test_weights_by_channel_are_rounded_each_by_its_own_scale() -> None:
    weight = torch.stack([0.01 * drawn(6, 3), 10 * drawn(6, 3, seed=1)])
    by_tensor, by_channel = (weight_grid(weight, 8, by_channel=b) for b in (False, True))
    assert not by_tensor.codes(weight)[0].any()
    assert float((by_channel.codes(weight)[0] * by_channel.scale[0] - weight[0]).abs().max()) < 1e-4


def test_what_each_estimator_uses_and_keeps() -> None:
    before, now = Range(-1.0, 1.0), Range(-2.0, 4.0)
    found = {n: registry.load(ESTIMATORS, n).choose(before, now, 0.9) for n in registry.names(ESTIMATORS)}
    average = pytest.approx((-1.1, 1.3))
    assert set(found) == {"current", "fixed", "in_hindsight", "running"}
    assert found["current"] == (now, now)
    assert found["fixed"] == (before, before)
    assert found["running"].used == average and found["running"].kept == average
    assert found["in_hindsight"].used == before and found["in_hindsight"].kept == average
    dynamic = {n for n in found if registry.load(ESTIMATORS, n).DYNAMIC}
    assert dynamic == {"current", "running"}


@pytest.mark.parametrize("name", ["tcresnet", "dscnn", "bcresnet", "duet"])
@pytest.mark.parametrize("weights", ["tensor", "channel"])
def test_eight_bits_give_nearly_the_gradients_of_full_precision(name: str, weights: str) -> None:
    x = drawn(8, 40, 98)
    plain_logits, plain = step(network(name), x)
    model = calibrated(network(name), x, weights=weights)
    logits, found = step(model, x)
    cosine = nn.functional.cosine_similarity(found, plain, 0)
    assert 0.99 < float(cosine) < 1  # below one: something was rounded
    assert float((logits - plain_logits).abs().max()) < 0.2 * float(plain_logits.std()) + 0.02
    few = calibrated(network(name), x, Bits(3, 3, 3), weights=weights)
    assert float(nn.functional.cosine_similarity(step(few, x)[1], plain, 0)) < float(cosine)


def test_state_dict_names_stay_and_a_restored_network_is_the_old_one() -> None:
    x, model = drawn(4, 40, 98), network()
    names, before = set(model.state_dict()), model(x)
    calibrated(model, x)
    assert names < set(model.state_dict())
    assert set(quantized.without_ranges(model.state_dict())) == names
    assert not torch.equal(model(x), before)
    quantized.restore(model)
    assert set(model.state_dict()) == names
    assert torch.equal(model(x), before)


def test_calibration_leaves_statistics_and_gradients_alone() -> None:
    model = network().train()
    before = {n: b.clone() for n, b in model.named_buffers()}
    calibrated(model, drawn(4, 40, 98))
    assert all(torch.equal(model.get_buffer(n), b) for n, b in before.items())
    assert all(p.grad is None for p in model.parameters())
    layers = quantized.layers_of(model).values()
    assert all(layer.get_buffer(GRADIENT).any() for layer in layers)


def test_in_hindsight_lags_where_numbers_grow_and_current_never_does() -> None:
    x = drawn(4, 40, 98)
    told = {}
    for estimator in ("current", "running", "in_hindsight", "fixed"):
        model = calibrated(network(), x, estimator=estimator)
        for growth in (2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0):
            step(model, growth * x)
        told[estimator] = quantized.told(model)
        assert quantized.told(model) == {}
    clipped = {n: facts["activations_clipped"] for n, facts in told.items()}
    assert clipped["current"] == 0 < clipped["in_hindsight"] < clipped["fixed"]
    lag = {n: facts["activations_range_lag"] for n, facts in told.items()}
    assert lag["current"] == 0 < lag["running"] < lag["in_hindsight"] < lag["fixed"]


def test_evaluation_learns_no_ranges() -> None:
    x = drawn(4, 40, 98)
    model = calibrated(network(), x, estimator="running")
    before = {n: b.clone() for n, b in model.named_buffers()}
    with torch.no_grad():
        model(10 * x)
    assert all(torch.equal(model.get_buffer(n), b) for n, b in before.items())
    assert quantized.told(model) == {}


LAYERS = [
    nn.Linear(30, 7, bias=False),
    nn.Conv1d(6, 5, 9, 2, 4, bias=False),
    nn.Conv1d(6, 5, 3, 1, 1, bias=False),
    nn.Conv1d(6, 5, 1, 2, bias=False),
    nn.Conv2d(6, 5, 1, bias=False),
    nn.Conv2d(6, 5, 1, (2, 1), bias=False),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("low", [0, -255, -100])
@pytest.mark.parametrize("clips", [4, 1])
def test_int8_gives_the_same_sums_to_the_last_bit(layer: Any, low: int, clips: int) -> None:
    rest = {nn.Linear: (30,), nn.Conv1d: (6, 21), nn.Conv2d: (6, 9, 8)}[type(layer)]
    shape = (clips, *rest)
    draw = torch.Generator().manual_seed(2)
    x = torch.randint(low, low + 256, shape, generator=draw).double()
    weight = torch.randint(-127, 128, layer.weight.shape, generator=draw).double()
    total = layer_products.output(layer, x, weight)  # in 64 bits: exact however long the sums are
    assert torch.equal(integer.output(layer, x.float(), weight.float()).double(), total)
    gradient = torch.randint(-200, 56, total.shape, generator=draw).double()
    wanted = layer_products.gradients(layer, gradient, x, weight, x.shape)
    found = integer.gradients(layer, gradient.float(), x.float(), weight.float(), x.shape)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours.double(), theirs)
    assert integer.gradients(layer, gradient.float(), None, weight.float(), torch.Size()) == (None, None)


def test_a_network_in_int8_answers_as_the_simulated_one() -> None:
    x = drawn(4, 40, 98)
    (logits, found), (same, close) = (
        step(calibrated(network(), x, arithmetic=arithmetic), x) for arithmetic in ("simulated", "integer")
    )
    assert torch.equal(logits, same)
    # Sums over all places of a batch pass 2 ** 24, where floats are whole no longer.
    torch.testing.assert_close(found, close, rtol=1e-5, atol=1e-6)


def test_an_interrupted_run_ends_with_the_same_ranges_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = toy_store(tmp_path)
    whole = train(store, tmp_path / "whole.safetensors", QUICK, seed=4)

    from kwsctl.learning import run

    class KilledError(Exception):
        pass

    finish = run.TrainingRun.finish_epoch

    def killed(self: run.TrainingRun, facts: Any) -> bool:
        if finish(self, facts) or facts.epoch == 1:
            raise KilledError
        return False

    monkeypatch.setattr(run.TrainingRun, "finish_epoch", killed)
    with pytest.raises(KilledError):
        train(store, tmp_path / "parts.safetensors", QUICK, seed=4)
    monkeypatch.undo()
    parts = train(store, tmp_path / "parts.safetensors", QUICK, seed=4, resume="must")
    assert parts.resumed_from == 2
    one, other = bundle.load(whole.bundle), bundle.load(parts.bundle)
    assert one.lineage["activation_ranges"] == other.lineage["activation_ranges"] != {}
    assert one.sha256 == other.sha256
    lines = [json.loads(line) for line in whole.log.read_text().splitlines()]
    assert all(0 <= line["gradients_clipped"] < 0.1 for line in lines)
    assert lines[0]["activations_range_lag"] > 0
    # Another seed of the rounding alone is another model; full precision has no ranges.
    plain = dataclasses.replace(QUICK, precision="fp32", epochs=1)
    assert (
        "activation_ranges"
        not in bundle.load(train(store, tmp_path / "plain.safetensors", plain, seed=4).bundle).lineage
    )


def test_ranges_go_from_a_bundle_back_into_a_network() -> None:
    x = drawn(4, 40, 98)
    model = calibrated(network(), x)
    again = network()
    quantized.quantize(again, Bits(), Quantization())
    quantized.set_ranges(again, json.loads(json.dumps(quantized.ranges(model.state_dict()))))
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"no precision 'w9a8g8'.*w8a8g8"):
        bits_of("w9a8g8")
    with pytest.raises(InputError, match="no precision 'int8'"):
        TrainOptions(precision="int8")
    with pytest.raises(InputError, match="momentum of 1 keeps nothing new"):
        Quantization(momentum=1.0)
    with pytest.raises(InputError, match=r"network\.keeping=everything"):
        quantized.quantize(network("revtcnet", blocks=(1,)), Bits(), Quantization())
    with pytest.raises(ExtensionError, match="Did you mean 'in_hindsight'"):
        quantized.quantize(network(), Bits(), Quantization(estimator="in_hindsigth"))
    assert bits_of("fp32") is None and bits_of("w4a8g6") == Bits(4, 8, 6)


@pytest.mark.parametrize("layer", [nn.Linear(24, 6), nn.Conv1d(24, 6, 3, padding=1)])
def test_rounded_numbers_are_the_same_where_other_layers_compute_in_bfloat16(layer: nn.Module) -> None:
    # As `fit` does on a GPU: without care, sums of whole numbers would be rounded to eight bits, and the
    # backward pass would meet two kinds of numbers.
    model, x = nn.Sequential(layer), drawn(16, 24) if isinstance(layer, nn.Linear) else drawn(16, 24, 9)
    quantized.quantize(model, Bits(), Quantization(), seed=1)
    found = []
    with quantized.calibrating(model):
        model(x).square().mean().backward()
    for autocast in (False, True):
        model.zero_grad()
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            y = model(leaf)
        y.float().square().mean().backward()
        found.append((y.detach(), leaf.grad, model[0].weight.grad.clone()))
    for exact, same in zip(*found, strict=True):
        assert same.dtype == torch.float32
        assert (same - exact).norm() < 0.02 * exact.norm()  # gradients are rounded at random
