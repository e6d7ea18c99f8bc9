"""Splits a secret so that any `threshold` shares give it back and fewer say nothing (Shamir 1979)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from kwsctl.errors import InputError

PRIME = 2**521 - 1
"""A Mersenne prime, larger than every secret of 64 bytes."""
SHARE_BYTES = 66
SECRET_BYTES = 32


def split(secret: bytes, points: list[int], threshold: int) -> dict[int, bytes]:
    """Makes one share for each point.

    Args:
        secret: 32 bytes.
        points: distinct and positive.
        threshold: how many shares give it back.

    Returns:
        The share at each point.

    Raises:
        InputError: fewer points than the threshold, or a point at 0, which is the secret itself.
    """
    if not 1 <= threshold <= len(points) or min(points) < 1 or len(set(points)) < len(points):
        raise InputError(f"{len(points)} shares cannot have the threshold {threshold}.", "Use more clients.")
    polynomial = [int.from_bytes(secret, "big"), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return {x: _evaluated(polynomial, x).to_bytes(SHARE_BYTES, "big") for x in points}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """Gives a secret back.

    Args:
        shares: by point.
        threshold: as given to `split`.

    Returns:
        The 32 bytes.

    Raises:
        InputError: too few shares, or shares that do not belong together.
    """
    if len(shares) < threshold:
        raise InputError(
            f"{len(shares)} shares are too few, {threshold} are needed.", "Too many clients dropped out."
        )
    chosen = sorted(shares)[:threshold]
    total = 0
    for x in chosen:
        above = below = 1
        for other in chosen:
            if other != x:
                above = above * other % PRIME
                below = below * (other - x) % PRIME
        total += int.from_bytes(shares[x], "big") * above * pow(below, -1, PRIME)
    value = total % PRIME
    if value >> (8 * SECRET_BYTES):
        raise InputError("The shares do not belong together.", "One of the clients sent a wrong share.")
    return value.to_bytes(SECRET_BYTES, "big")


def _evaluated(polynomial: list[int], x: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % PRIME
    return value
