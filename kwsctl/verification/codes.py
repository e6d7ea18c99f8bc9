"""Codewords that users learn towards, far apart from one another, of which nobody else knows the user's own.

A user's message is a base vector, which the server gives so that no two users have the same, followed by a
secret that the user draws and keeps. A BCH code turns messages into codewords that differ in at least as many
places as the designed distance, whatever the secrets are (Hosseini et al. 2021, arXiv 2104.08776, section 4).
Codes are narrow-sense primitive BCH codes in systematic form: MacWilliams and Sloane 1977, chapter 9.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import InputError

Bits = NDArray[np.uint8]

# Lin and Costello 2004, appendix A: one primitive polynomial for each degree.
PRIMITIVE = {5: 0b100101, 6: 0b1000011, 7: 0b10001001, 8: 0b100011101, 9: 0b1000010001}


@dataclass(frozen=True)
class Code:
    """Size of a BCH code.

    Attributes:
        length: c, bits of a codeword: 31, 63, 127, 255 or 511.
        message: bits of a message.
        distance: the designed one: places in which two codewords differ at least.
    """

    length: int
    message: int
    distance: int

    @property
    def base_bits(self) -> int:
        """Bits of the base vector that the server gives, at most 32."""
        return min(32, self.message // 2)

    @property
    def secret_bits(self) -> int:
        """Bits that only the user knows."""
        return self.message - self.base_bits


CODES = {
    code.length: code
    for code in (Code(31, 16, 7), Code(63, 24, 15), Code(127, 64, 21), Code(255, 71, 59), Code(511, 67, 175))
}
"""From 127 bits on, the secret has 32 bits or more, as in the paper; shorter codes can be guessed."""


def code_of(length: int) -> Code:
    """Gives the code of a length.

    Args:
        length: c.

    Returns:
        Its size.

    Raises:
        InputError: there is no code of that length.
    """
    if length not in CODES:
        raise InputError(f"There is no code of {length} bits.", f"Use {', '.join(map(str, CODES))}.")
    return CODES[length]


def generator_polynomial(degree: int, errors: int) -> int:
    """Makes the generator polynomial of a BCH code over codewords of 2**degree - 1 bits.

    Args:
        degree: m of the field with 2**m elements.
        errors: t, how many wrong bits the code corrects; the designed distance is 2t + 1.

    Returns:
        Its coefficients as bits, the lowest power last.
    """
    size = 2**degree - 1
    exp, log = _field(degree)
    generator, covered = 1, set[int]()
    for power in range(1, 2 * errors, 2):
        if power in covered:
            continue
        conjugates = {power * 2**j % size for j in range(degree)}
        covered |= conjugates
        minimal = [1]  # coefficients in the field, lowest power first
        for root in conjugates:
            shifted = [0, *minimal]
            scaled = [exp[(log[c] + root) % size] if c else 0 for c in minimal] + [0]
            minimal = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
        generator = _times(generator, sum(bit << place for place, bit in enumerate(minimal)))
    return generator


@functools.cache
def generator_matrix(length: int) -> Bits:
    """Makes the systematic generator matrix of the code of a length.

    Args:
        length: c.

    Returns:
        [message, length] bits; the message comes first in a codeword.

    Raises:
        InputError: there is no code of that length.
    """
    code = code_of(length)
    generator = generator_polynomial(length.bit_length(), (code.distance - 1) // 2)
    checks = generator.bit_length() - 1
    if length - checks != code.message:
        raise ValueError(f"BCH({length}) of distance {code.distance} has {length - checks} message bits")
    rows = np.zeros((code.message, length), dtype=np.uint8)
    for i in range(code.message):
        word = 1 << (length - 1 - i)
        rows[i] = _bits(word | _remainder(word, generator), length)
    return rows


def encode(message: Bits, length: int) -> Bits:
    """Makes codewords of messages.

    Args:
        message: [..., message] bits.
        length: c.

    Returns:
        [..., length] bits.

    Raises:
        InputError: there is no code of that length, or the message has another one.
    """
    matrix = generator_matrix(length)
    if message.shape[-1] != len(matrix):
        raise InputError(f"A message of {message.shape[-1]} bits does not fit: {len(matrix)} are needed.")
    return (message.astype(np.int64) @ matrix % 2).astype(np.uint8)


def base_vector(number: int, length: int) -> Bits:
    """Gives the base vector of a user, which no other number has.

    Args:
        number: that the server gave, from 0.
        length: c.

    Returns:
        Its bits, highest first.

    Raises:
        InputError: there are no more base vectors.
    """
    bits = code_of(length).base_bits
    if not 0 <= number < 2**bits:
        raise InputError(
            f"User {number} is one too many for a code of {length} bits.", f"It tells {2**bits} users apart."
        )
    return _bits(number, bits)


def secret(length: int, draw: np.random.Generator) -> Bits:
    """Draws the secret of a user.

    Args:
        length: c.
        draw: of the system on a device, of a seed in a simulation.

    Returns:
        Its bits.
    """
    return draw.integers(0, 2, code_of(length).secret_bits).astype(np.uint8)


def codeword(number: int, own: Bits, length: int) -> NDArray[np.float32]:
    """Gives what a user learns towards.

    Args:
        number: of the user's base vector.
        own: the secret.
        length: c.

    Returns:
        [length] of -1 and 1.
    """
    message = np.concatenate([base_vector(number, length), own])
    return signs(encode(message, length))


def signs(bits: Bits) -> NDArray[np.float32]:
    """Turns bits into -1 and 1."""
    return (2 * bits.astype(np.float32) - 1).astype(np.float32)


def hadamard(count: int) -> NDArray[np.float32]:
    """Gives the rows of a Hadamard matrix (Sylvester), all at right angles, without the row of ones.

    Args:
        count: of rows; their length is the next power of two above it.

    Returns:
        [count, length] of -1 and 1.
    """
    matrix = np.ones((1, 1), dtype=np.float32)
    while len(matrix) <= count:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix[1 : count + 1].astype(np.float32)


@functools.cache
def _field(degree: int) -> tuple[list[int], list[int]]:
    size, value = 2**degree - 1, 1
    exp, log = [0] * size, [0] * (size + 1)
    for power in range(size):
        exp[power], log[value] = value, power
        value <<= 1
        if value >> degree:
            value ^= PRIMITIVE[degree]
    return exp, log


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
    return product


def _remainder(word: int, generator: int) -> int:
    degree = generator.bit_length()
    while word.bit_length() >= degree:
        word ^= generator << (word.bit_length() - degree)
    return word


def _bits(word: int, count: int) -> Bits:
    return np.array([word >> (count - 1 - place) & 1 for place in range(count)], dtype=np.uint8)
