"""Changes as whole numbers, because masks cancel in whole numbers only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.secure_aggregation.masks import Words


@dataclass(frozen=True)
class Grid:
    """The grid that all clients round to.

    Attributes:
        reach: the largest number that can be sent.
        bits: of a number; with the logarithm of the number of clients they must fit into 32.
    """

    reach: float = 16.0
    bits: int = 20

    def __post_init__(self) -> None:
        if self.reach <= 0 or not 2 <= self.bits <= 31:
            raise InputError(f"reach = {self.reach:g}, bits = {self.bits}: no grid.", "Use 2 to 31 bits.")

    @property
    def step(self) -> float:
        """Distance of two neighbouring numbers."""
        return self.reach / ((1 << (self.bits - 1)) - 1)

    def whole(self, vector: Tensor, name: str) -> Words:
        """Rounds the numbers of a client to the grid.

        Args:
            vector: [P].
            name: the client, for the message.

        Returns:
            [P] 32-bit words.

        Raises:
            InputError: a number is beyond the grid: cut off in silence it would falsify the sum.
        """
        largest = float(vector.abs().max()) if len(vector) else 0.0
        if not largest <= self.reach:
            raise InputError(
                f"The change of {name} reaches {largest:.3g}, the grid of secure aggregation ends "
                f"at {self.reach:g}.",
                "Use a larger secure.reach, or clip changes (privacy.clip), which bounds every number.",
            )
        return np.rint(vector.double().numpy() / self.step).astype(np.int64).astype(np.uint32)

    def numbers(self, total: Words) -> Tensor:
        """Gives [P] numbers back from a sum of words."""
        return torch.from_numpy(total.view(np.int32).astype(np.float64) * self.step).float()

    def check(self, clients: int) -> None:
        """Refuses more clients than fit: the sum would wrap around."""
        if clients * 2 ** (self.bits - 1) >= 2**31:
            raise InputError(
                f"The sum of {clients} clients of {self.bits} bits does not fit into 32.",
                "Use fewer secure.bits.",
            )
