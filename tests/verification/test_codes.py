"""Codewords are those of published codes, far apart, unique by the server's number, secret by the user's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.verification import codes

LENGTHS = tuple(codes.CODES)


@pytest.mark.parametrize(
    ("degree", "errors", "octal"),
    [  # Lin and Costello 2004, appendix C
        (5, 3, "107657"),
        (6, 7, "17323260404441"),
        (7, 10, "1206534025570773100045"),
    ],
)
def test_generator_polynomials_are_the_published_ones(degree: int, errors: int, octal: str) -> None:
    assert codes.generator_polynomial(degree, errors) == int(octal, 8)


@pytest.mark.parametrize("length", LENGTHS)
def test_matrices_are_those_of_galois(length: int) -> None:
    galois = pytest.importorskip("galois", reason="an oracle of 220 MB: pip install galois")
    code = codes.code_of(length)
    oracle = galois.BCH(length, code.message)
    assert oracle.d == code.distance
    assert np.array_equal(codes.generator_matrix(length), np.array(oracle.G))


@pytest.mark.parametrize("length", LENGTHS)
def test_codewords_are_apart_by_the_designed_distance(length: int) -> None:
    code, draw = codes.code_of(length), np.random.default_rng(0)
    messages = draw.integers(0, 2, (200, code.message)).astype(np.uint8)
    words = np.unique(codes.encode(messages, length), axis=0).astype(int)
    # A linear code: distances are weights of sums, and single rows are the lightest that are easy to reach.
    rows = codes.generator_matrix(length).astype(int)
    assert rows.sum(1).min() >= code.distance
    apart = (words[:, None] != words[None]).sum(2) + length * np.eye(len(words), dtype=int)
    assert apart.min() >= code.distance


def test_the_smallest_code_has_exactly_the_designed_distance() -> None:
    code = codes.code_of(31)
    every = np.array(list(itertools.product((0, 1), repeat=code.message)), dtype=np.uint8)[1:]
    assert int(codes.encode(every, 31).sum(1).min()) == code.distance


@pytest.mark.parametrize("length", LENGTHS)
def test_no_two_users_share_a_code_even_with_one_secret(length: int) -> None:
    own = codes.secret(length, np.random.default_rng(1))
    words = {codes.codeword(number, own, length).tobytes() for number in range(64)}
    assert len(words) == 64


def test_the_secret_changes_the_code_and_the_base_vector_does_not_tell_it() -> None:
    one, other = (codes.codeword(5, codes.secret(127, np.random.default_rng(n)), 127) for n in (1, 2))
    bits = codes.code_of(127).base_bits
    assert np.array_equal(one[:bits], other[:bits])
    assert (one[bits:] != other[bits:]).sum() >= 21


def test_secrets_from_127_bits_on_have_32_bits() -> None:
    assert all((code.secret_bits >= 32) == (code.length >= 127) for code in codes.CODES.values())


def test_rows_of_hadamard_are_at_right_angles() -> None:
    rows = codes.hadamard(18)
    assert rows.shape == (18, 32)
    assert np.array_equal(rows @ rows.T, 32 * np.eye(18))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="There is no code of 100 bits"):
        codes.code_of(100)
    with pytest.raises(InputError, match="User 256 is one too many"):
        codes.base_vector(256, 31)
    with pytest.raises(InputError, match="A message of 3 bits"):
        codes.encode(np.zeros(3, dtype=np.uint8), 31)
