"""Sends changes through a compressor, and keeps what it left out for the next time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor

from kwsctl import registry
from kwsctl.federated.layout import Layout
from kwsctl.options import from_mapping

COMPRESSION = "kwsctl.federated.compression"


@dataclass(frozen=True)
class Channel:
    """One direction.

    Attributes:
        file: a compressor.
        options: of it.
        layout: of what is sent.
    """

    file: ModuleType
    options: Any
    layout: Layout

    def send(self, change: Tensor, left_over: Tensor | None) -> tuple[bytes, Tensor, Tensor]:
        """Encodes a change [P] with what was left over, and decodes it as the other end does.

        Args:
            change: [P].
            left_over: [P] what earlier payloads lacked; None where nothing is kept.

        Returns:
            The payload, what the other end reads from it [P], and what it lacks [P].
        """
        wanted = change if left_over is None else change + left_over
        payload: bytes = self.file.encode(self.layout.tensors(wanted), self.options)
        read = self.read(payload)
        return payload, read, wanted - read

    def read(self, payload: bytes) -> Tensor:
        """Decodes a payload to [P]."""
        return self.layout.vector(self.file.decode(payload, self.layout, self.options))

    @property
    def keeps(self) -> bool:
        """Whether what is left out has to be kept."""
        return bool(self.file.BIASED)


def channel(name: str, options: Mapping[str, Any], layout: Layout) -> Channel:
    """Makes a channel.

    Args:
        name: file in `federated/compression/`.
        options: fields of its `Options`.
        layout: of what is sent.

    Returns:
        The channel.

    Raises:
        ExtensionError: no such file.
        InputError: an unknown option.
    """
    file = registry.load(COMPRESSION, name)
    return Channel(file, from_mapping(file.Options, options), layout)
