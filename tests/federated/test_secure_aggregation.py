"""Secure aggregation: the sum to the bit, dropouts, and that one masked answer says nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kwsctl.errors import InputError
from kwsctl.federated.secure_aggregation import shamir
from kwsctl.federated.secure_aggregation.client import SecureClient
from kwsctl.federated.secure_aggregation.fixed_point import Grid
from kwsctl.federated.secure_aggregation.graph import neighbours
from kwsctl.federated.secure_aggregation.masks import Words, agreed_key, mask
from kwsctl.federated.secure_aggregation.protocol import SecureSum, secure_sum

GRID = Grid(reach=2.0, bits=20)


def words(count: int, length: int = 50) -> dict[str, Words]:
    draw = torch.Generator().manual_seed(count)
    return {
        f"c{k:02d}": GRID.whole(torch.randn(length, generator=draw).clamp(-2, 2), f"c{k}")
        for k in range(count)
    }


def added(given: dict[str, Words], without: tuple[str, ...] = ()) -> Words:
    total = np.zeros(len(next(iter(given.values()))), dtype=np.uint32)
    for name, own in given.items():
        total = total if name in without else total + own
    return total


def run(given: dict[str, Words], degree: int = 6, **more: object) -> SecureSum:
    return secure_sum(given, session=b"s", draw=np.random.default_rng(0), degree=degree, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "degree"), [(3, 12), (9, 4), (20, 6)])
def test_the_sum_is_that_of_the_plain_words_to_the_bit(count: int, degree: int) -> None:
    given = words(count)
    found = run(given, degree)
    assert np.array_equal(found.total, added(given))
    assert found.survivors == tuple(sorted(given))


def test_dropouts_before_and_after_answering_are_recovered_from() -> None:
    given = words(14)
    found = run(given, 8, silent=("c03", "c08"), gone=("c05",), threshold=0.5)
    assert np.array_equal(found.total, added(given, ("c03", "c08")))
    assert "c05" in found.survivors and "c03" not in found.survivors


def test_below_the_threshold_the_sum_stays_hidden() -> None:
    with pytest.raises(InputError, match=r"2 of 4 neighbours of c00 are left, 4 are needed.*stays hidden"):
        run(words(5), silent=("c01", "c02"), threshold=0.9)
    with pytest.raises(InputError, match="Only 2 clients sent words"):
        run(words(5), silent=("c01", "c02", "c03"))
    with pytest.raises(InputError, match="2 clients cannot hide in their sum"):
        run(words(2))


def test_one_masked_answer_is_uniform_and_says_nothing_of_the_words() -> None:
    """Of all-zero words: bytes by chi-square, bits by their mean, and no link with another round."""
    given = {f"c{k}": np.zeros(20_000, dtype=np.uint32) for k in range(4)}
    first = run(given).masked["c0"]
    second = run(given).masked["c0"]
    counts = np.bincount(first.view(np.uint8), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-6
    bits = np.unpackbits(first.view(np.uint8)).reshape(-1, 32).mean(0)
    assert np.abs(bits - 0.5).max() < 6 * 0.5 / np.sqrt(20_000)
    link = np.corrcoef(first.astype(float), second.astype(float))[0, 1]
    assert abs(link) < 6 / np.sqrt(20_000)
    large = {name: np.full(20_000, 2**31 - 1, dtype=np.uint32) for name in given}
    shown = run(large).masked["c0"]
    assert stats.ks_2samp(first.astype(float), shown.astype(float)).pvalue > 1e-6


def test_masks_of_a_pair_are_the_same_on_both_sides_and_other_in_another_session() -> None:
    a, b = SecureClient("a", 1, b"1"), SecureClient("b", 2, b"1")
    ours = agreed_key(a._masking.private_bytes_raw(), b.advertise().masking, "mask", b"1")
    assert ours == agreed_key(b._masking.private_bytes_raw(), a.advertise().masking, "mask", b"1")
    assert ours != agreed_key(a._masking.private_bytes_raw(), b.advertise().masking, "mask", b"2")
    assert ours != agreed_key(a._masking.private_bytes_raw(), b.advertise().masking, "seal", b"1")
    assert mask(bytes(32), 2).tolist() == [0xADE0B876, 0x903DF1A0]  # RFC 8439, appendix A.1, test vector 1


def test_a_client_unmasks_once_and_never_gives_both_secrets() -> None:
    a, b, c = (SecureClient(name, n + 1, b"1") for n, name in enumerate("abc"))
    keys = {one.name: (one.point, one.advertise()) for one in (a, b, c)}
    sealed = {one.name: one.share({n: k for n, k in keys.items() if n != one.name}, 2) for one in (a, b, c)}
    a.receive({"b": sealed["b"]["a"], "c": sealed["c"]["a"]})
    shares = a.unmask(["a", "b"])
    assert {name: len(share) for name, share in shares.items()} == {"b": 66, "c": 66}
    with pytest.raises(InputError, match="a was asked twice to unmask"):
        a.unmask(["a"])
    altered = bytes([sealed["a"]["b"][0] ^ 1]) + sealed["a"]["b"][1:]
    with pytest.raises(InputError, match="The share from a to b was altered"):
        b.receive({"a": altered})


def test_shares_give_a_secret_back_from_any_enough_of_them() -> None:
    secret = bytes(range(32))
    shares = shamir.split(secret, [1, 2, 3, 5, 9], 3)
    for chosen in ((1, 2, 3), (2, 5, 9), (1, 2, 3, 5, 9)):
        assert shamir.combine({x: shares[x] for x in chosen}, 3) == secret
    with pytest.raises(InputError, match="2 shares are too few, 3 are needed"):
        shamir.combine({x: shares[x] for x in (1, 2)}, 3)
    wrong = {**{x: shares[x] for x in (1, 2)}, 3: bytes(66)}
    with pytest.raises(InputError, match="do not belong together"):
        shamir.combine(wrong, 3)
    again = shamir.split(secret, [1, 2, 3, 5, 9], 3)
    assert again[1] != shares[1]  # fewer shares than the threshold fit every secret


def test_the_graph_is_regular_mutual_and_connected() -> None:
    names = [f"c{k}" for k in range(40)]
    near = neighbours(names, 6, np.random.default_rng(3))
    assert {len(own) for own in near.values()} == {6}
    assert all(name in near[other] and other != name for name, own in near.items() for other in own)
    reached, new = {"c0"}, {"c0"}
    while new:
        new = {other for name in new for other in near[name]} - reached
        reached |= new
    assert reached == set(names)


def test_the_grid_refuses_what_it_cannot_hold() -> None:
    vector = torch.tensor([0.1, -1.7, 2.0])
    assert float((GRID.numbers(GRID.whole(vector, "a")) - vector).abs().max()) <= GRID.step / 2
    with pytest.raises(InputError, match=r"change of ana reaches 2.5, the grid .* ends at 2.*secure.reach"):
        GRID.whole(torch.tensor([0.0, -2.5]), "ana")
    with pytest.raises(InputError, match="reaches nan"):
        GRID.whole(torch.tensor([float("nan")]), "ana")
    GRID.check(4095)
    with pytest.raises(InputError, match="The sum of 4096 clients of 20 bits does not fit into 32"):
        GRID.check(4096)
