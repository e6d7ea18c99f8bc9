"""How much privacy is spent: epsilon by Google's `dp-accounting`, for the way in which clients are sampled.

- `poisson`: neighbours differ by one client; z is the noise on the sum over the clip. Tight by privacy loss
  distributions (PLD), and a quick upper bound by Renyi divergence (RDP).
- `fixed`: the number of clients is known, so neighbours differ by replacing one, which moves the sum by up
to twice the clip. The noise counts half: passing z instead of z / 2 understates epsilon.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
from collections.abc import Iterator
from typing import Any, Literal

from kwsctl.errors import ExtensionError, InputError

Sampling = Literal["poisson", "fixed"]


@functools.lru_cache(maxsize=4096)
def epsilon(
    noise: float,
    share: float,
    rounds: int,
    delta: float,
    sampling: Sampling = "poisson",
    *,
    tight: bool = True,
) -> float:
    """Gives the epsilon of some rounds.

    Args:
        noise: z, standard deviation of the noise on the sum over the clip.
        share: of the clients that are asked in a round.
        rounds: how many.
        delta: probability that the promise may fail.
        sampling: how clients are asked.
        tight: by PLD where the library can (Poisson sampling), else by RDP.

    Returns:
        Epsilon; infinity without noise.

    Raises:
        ExtensionError: `dp-accounting` is not installed.
        InputError: a probability that is none.
    """
    if not 0 < delta < 1 or not 0 < share <= 1:
        raise InputError(f"delta = {delta:g} and share = {share:g} must be probabilities.")
    if rounds == 0:
        return 0.0
    if noise <= 0:
        return float("inf")
    dp, accountant = _accountant(sampling, share, tight)
    if sampling == "poisson":
        event = dp.PoissonSampledDpEvent(share, dp.GaussianDpEvent(noise))
    elif share == 1:
        event = dp.GaussianDpEvent(noise / 2)
    else:
        # The library samples from a population by number; a large one makes any share.
        of = 1_000_000
        event = dp.SampledWithoutReplacementDpEvent(of, round(share * of), dp.GaussianDpEvent(noise / 2))
    with _quiet():
        accountant.compose(event, rounds)
        return float(accountant.get_epsilon(delta))


def rounds_within(
    noise: float, share: float, most: int, delta: float, sampling: Sampling, budget: float
) -> int:
    """Gives how many of the rounds fit into a budget of epsilon, by the quick bound."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if epsilon(noise, share, middle, delta, sampling, tight=False) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the library's notes on orders that it leaves out: the bound holds without them."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _accountant(sampling: Sampling, share: float, tight: bool) -> tuple[Any, Any]:
    try:
        dp = importlib.import_module("dp_accounting")
        rdp = importlib.import_module("dp_accounting.rdp")
        pld = importlib.import_module("dp_accounting.pld")
    except ImportError:
        raise ExtensionError(
            "Counting epsilon needs dp-accounting.", "Type: pip install 'kwsctl[federated]'"
        ) from None
    if sampling == "poisson":
        relation = dp.NeighboringRelation.ADD_OR_REMOVE_ONE
        return dp, (
            pld.PLDAccountant(relation) if tight else rdp.RdpAccountant(neighboring_relation=relation)
        )
    relation = dp.NeighboringRelation.REPLACE_ONE
    # PLD has no sampling without replacement; without sampling, noise / 2 is the same mechanism either way.
    if share == 1 and tight:
        return dp, pld.PLDAccountant(dp.NeighboringRelation.ADD_OR_REMOVE_ONE)
    return dp, rdp.RdpAccountant(neighboring_relation=relation)
