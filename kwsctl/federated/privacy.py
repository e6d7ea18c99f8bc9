"""Hides single people in what is shared: bounded changes, and noise (user-level differential privacy).

The sum of K clipped changes plus Gaussian noise of z times the clip is divided by the expected number of
clients, a constant: dividing by how many came would tell whether somebody did (McMahan et al. 2018, arXiv
1710.06963).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated.layout import layout_of


@dataclass(frozen=True)
class Privacy:
    """How much is hidden.

    Attributes:
        noise: z, standard deviation of the noise on the sum over the clip; 0 adds none.
        clip: longest change that counts in full; 0 clips nothing.
        adaptive: move the clip to the quantile of the lengths (Andrew et al. 2021, arXiv 1905.03871).
        quantile: share of changes that shall be shorter than the adaptive clip.
        clip_rate: how fast it moves.
        where: `central` noise by a trusted server, or `local` noise by every client.
        delta: probability that the promise may fail; by default 1 / clients**1.1.
        budget: epsilon that may be spent; 0 is no limit.
    """

    noise: float = 0.0
    clip: float = 0.0
    adaptive: bool = False
    quantile: float = 0.5
    clip_rate: float = 0.2
    where: Literal["central", "local"] = "central"
    delta: float | None = None
    budget: float = 0.0

    def __post_init__(self) -> None:
        if self.noise < 0 or self.clip < 0 or self.budget < 0:
            raise InputError("noise, clip and budget cannot be negative.", "Use 0 for none.")
        if self.noise and not self.clip:
            raise InputError("Noise without a clip hides nobody.", "Use --set privacy.clip=1 with it.")
        if self.delta is not None and not 0 < self.delta < 1:
            raise InputError(f"delta = {self.delta:g} is no probability.", "Use less than 1 / clients.")
        if self.adaptive and not self.clip:
            raise InputError("An adaptive clip needs a first value.", "Use --set privacy.clip=1.")


def clipped(delta: Delta, bound: float) -> tuple[Delta, bool]:
    """Scales a change down to a length, if it is longer.

    Args:
        delta: a client's change.
        bound: the greatest length.

    Returns:
        The change, and whether it was short enough as it was.
    """
    length = math.sqrt(sum(float(change.double().square().sum()) for change in delta.changes.values()))
    if length <= bound:
        return delta, True
    changes = {name: change * (bound / length) for name, change in delta.changes.items()}
    return dataclasses.replace(delta, changes=changes), False


def with_noise(delta: Delta, std: float, draw: torch.Generator) -> Delta:
    """Adds Gaussian noise to every number of a change, in the order of the names."""
    layout = layout_of(delta.changes)
    noisy = layout.vector(delta.changes) + std * torch.randn(layout.size, generator=draw)
    return dataclasses.replace(delta, changes=layout.tensors(noisy))


def local_std(privacy: Privacy, clip: float, fewest: int) -> float:
    """Gives the noise of a client, so that the sum over the `fewest` honest ones carries z times the clip."""
    return privacy.noise * clip / math.sqrt(max(1, fewest))


def sum_noise(privacy: Privacy, cohort: float) -> float:
    """Gives z of the sum of changes: more if part of the privacy goes to the count of an adaptive clip.

    The count gets noise of a twentieth of the cohort; both together are worth z (Andrew et al. 2021,
    theorem 1).
    """
    if not (privacy.adaptive and privacy.noise):
        return privacy.noise
    left = privacy.noise**-2 - (2 * count_noise(cohort)) ** -2
    if left <= 0:
        raise InputError(
            f"With {cohort:g} clients a round, the adaptive clip alone spends more than noise = "
            f"{privacy.noise:g}.",
            "Use privacy.adaptive=false, or more clients.",
        )
    return float(left**-0.5)


def count_noise(cohort: float) -> float:
    """Gives the standard deviation of the noise on how many changes were shorter than the clip."""
    return max(1.0, cohort / 20)


def moved_clip(
    clip: float, short: Sequence[bool], privacy: Privacy, cohort: float, draw: torch.Generator
) -> float:
    """Moves the clip towards the quantile, by the noisy share of shorter changes (Andrew et al., alg. 1)."""
    count = float(sum(short) - len(short) / 2)
    if privacy.noise:
        count += count_noise(cohort) * float(torch.randn((), generator=draw))
    share = min(1.0, max(0.0, count / cohort + 0.5))
    return clip * math.exp(-privacy.clip_rate * (share - privacy.quantile))


def private_mean(
    deltas: Sequence[Delta], clip: float, z: float, cohort: float, draw: torch.Generator, *, add: bool
) -> Tensor:
    """Sums clipped changes, adds noise if asked to, and divides by the expected number of clients; [P]."""
    layout = layout_of(deltas[0].changes)
    total = torch.stack([layout.vector(delta.changes) for delta in deltas]).double().sum(0).float()
    if add:
        total = total + z * clip * torch.randn(layout.size, generator=draw)
    return total / cohort


def guidance(shared: int, clients: int, cohort: float, z: float, epsilon: float) -> str | None:
    """Says when epsilon means nothing or noise drowns the change, and what to do; None if neither."""
    ratio = z * math.sqrt(shared) / max(cohort, 1.0)
    wanted = math.ceil(z * math.sqrt(shared) / 0.5)
    if epsilon > 10:
        return (
            f"epsilon = {epsilon:.1f} with {clients} clients protects hardly anybody: a person's "
            f"part could raise "
            f"a chance by e^{epsilon:.0f}. Share fewer numbers than {shared:,} (--part head or "
            f"vectors), use more "
            "noise, fewer rounds, or many more clients of which a small share is asked."
        )
    if ratio > 1:
        return (
            f"The noise is {ratio:.1f} times as long as the longest mean change: little will be "
            f"learned. Share fewer "
            f"numbers than {shared:,} (--part head or vectors), or ask {wanted:,} clients a round."
        )
    return None
