"""Random generators made from one seed and a name; nothing in kwsctl seeds globally.

Two parts that draw from generators of different names never disturb each other: adding an
augmentation does not change the order of the clips.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, *names: str | int) -> int:
    """Derives a 63-bit seed for a named stream of random numbers.

    Args:
        seed: the `--seed` of the command.
        *names: what the stream is for, such as `"shuffle", epoch`.

    Returns:
        A number from 0 to 2**63 - 1.
    """
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Makes the numpy generator of a named stream, see `stream_seed`."""
    return np.random.default_rng(stream_seed(seed, *names))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Makes the torch (CPU) generator of a named stream, see `stream_seed`."""
    import torch  # the command line must start without torch

    generator = torch.Generator()
    generator.manual_seed(stream_seed(seed, *names))
    return generator
