"""Named streams are reproducible and do not disturb each other."""

from __future__ import annotations

import torch

from kwsctl.seeding import numpy_generator, stream_seed, torch_generator


def test_streams_depend_on_seed_and_name_only() -> None:
    assert stream_seed(1, "shuffle", 3) == stream_seed(1, "shuffle", 3)
    seeds = {stream_seed(s, n, e) for s in range(3) for n in ("a", "b") for e in range(3)}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_give_the_same_again() -> None:
    assert numpy_generator(5, "x").random() == numpy_generator(5, "x").random()
    first, second = (torch.rand(3, generator=torch_generator(5, "x")) for _ in range(2))
    assert torch.equal(first, second)


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    torch.rand(3, generator=torch_generator(5, "x"))
    assert torch.equal(state, torch.get_rng_state())
