"""What every compressor promises, checked for each file in `federated/compression/`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.federated.channel import COMPRESSION, channel
from kwsctl.federated.layout import layout_of

NAMES = registry.names(COMPRESSION)
every = pytest.mark.parametrize("name", NAMES)
SHAPES = {"conv.weight": (12, 10, 9), "head.bias": (37,), "head.weight": (37, 12)}
MOST_BYTES = {"none": 4.0, "int8": 1.02, "int4": 0.53, "top_k": 0.05, "sign": 0.14, "low_rank": 0.5}
MOST_ERROR = {"none": 0.0, "int8": 0.01, "int4": 0.2, "top_k": 1.0, "sign": 0.7, "low_rank": 0.99}


def changes(seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: 0.1 * torch.randn(shape, generator=draw) for name, shape in SHAPES.items()}


LAYOUT = layout_of(changes())


def of(name: str, **options: Any) -> Any:
    return channel(name, options, LAYOUT)


def test_the_folder_is_the_list() -> None:
    assert NAMES == ("int4", "int8", "low_rank", "none", "sign", "top_k")


@every
def test_what_is_read_is_near_what_was_sent_and_the_payload_is_small(name: str) -> None:
    vector = LAYOUT.vector(changes())
    payload, read, lacks = of(name).send(vector, None)
    assert len(payload) <= MOST_BYTES[name] * LAYOUT.size
    assert float(lacks.norm() / vector.norm()) <= MOST_ERROR[name]
    torch.testing.assert_close(read + lacks, vector)
    assert torch.equal(of(name).read(payload), read)
    assert payload == of(name).send(vector, None)[0]  # nothing is random


@every
def test_zeros_stay_zeros_and_payloads_of_another_length_are_refused(name: str) -> None:
    payload, read, _ = of(name).send(torch.zeros(LAYOUT.size), None)
    assert not read.any()
    for wrong in (payload + b"\0", payload[:-1], b""):
        with pytest.raises(InputError, match=f"A payload of {name} has {len(wrong)} bytes"):
            of(name).read(wrong)


@pytest.mark.parametrize("name", [n for n in NAMES if of(n).keeps])
def test_what_is_left_out_arrives_later(name: str) -> None:
    """The sum of many payloads of one change approaches the sum of the changes: error feedback."""
    change, total, left = LAYOUT.vector(changes()), torch.zeros(LAYOUT.size), None
    rounds = 60
    for _ in range(rounds):
        _, read, left = of(name, **({"share": 0.1} if name == "top_k" else {})).send(change, left)
        total += read
    plain = of(name).send(change, None)[1]
    with_feedback = float((total / rounds - change).norm() / change.norm())
    assert with_feedback < 0.3
    assert with_feedback < float((plain - change).norm() / change.norm())


def test_the_largest_numbers_are_sent_in_whichever_form_is_shorter() -> None:
    vector = LAYOUT.vector(changes())
    few, many = of("top_k", share=0.01), of("top_k", share=0.3)
    k = round(0.01 * LAYOUT.size)
    assert len(few.send(vector, None)[0]) == 4 * k  # two bytes for the place, two for the value
    assert len(many.send(vector, None)[0]) == -(-LAYOUT.size // 8) + 2 * round(0.3 * LAYOUT.size)
    read = few.send(vector, None)[1]
    assert set(torch.nonzero(read)[:, 0].tolist()) == set(vector.abs().topk(k).indices.tolist())


def test_a_matrix_of_low_rank_is_sent_whole() -> None:
    thin = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    thin["head.weight"] = torch.outer(torch.arange(37.0), torch.arange(12.0)) / 100
    vector = LAYOUT.vector(thin)
    read = of("low_rank").send(vector, None)[1]
    assert float((read - vector).norm() / vector.norm()) < 1e-3


def test_odd_sizes_and_extreme_numbers() -> None:
    one = channel("int4", {}, layout_of({"w": torch.zeros(1)}))
    assert float(one.send(torch.tensor([3.0]), None)[1]) == pytest.approx(3.0, rel=1e-2)
    for name in NAMES:
        tiny = of(name).send(torch.full((LAYOUT.size,), 1e-9), None)[1]
        assert bool(torch.isfinite(tiny).all()) and float(tiny.abs().max()) < 1e-6


def test_wrong_options_are_refused() -> None:
    for name, option in (("top_k", {"share": 0.0}), ("low_rank", {"rank": 0})):
        with pytest.raises(InputError, match="sends nothing"):
            of(name, **option)
    with pytest.raises(InputError, match="block = 0"):
        of("int8", block=0).send(torch.zeros(LAYOUT.size), None)
