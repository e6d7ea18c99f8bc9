"""Networks whose normalization keeps its statistics while their weights learn."""

from __future__ import annotations

from typing import Self

from torch import nn


class Frozen(nn.Module):
    """A network that stays in evaluation mode: few clips of one voice would spoil its statistics.

    Args:
        network: whose weights learn.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def train(self, mode: bool = True) -> Self:
        """Leaves the network in evaluation mode."""
        self.training = mode
        self.network.eval()
        return self
