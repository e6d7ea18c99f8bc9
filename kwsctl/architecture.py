"""Builds the networks of `models/` by name and counts what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from kwsctl import options, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

MODELS = "kwsctl.models"


class KeywordNet(Protocol):
    """What every network in `models/` offers besides being an `nn.Module`.

    Attributes:
        embedding_size: E.
        head: maps embeddings [B, E] to logits [B, L].
        standardize: first layer, subtracts `mean` [F] and divides by `std` [F].
    """

    embedding_size: int
    head: nn.Module
    standardize: nn.Module

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to embeddings [B, E]."""

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of one clip of T frames."""


def resolve_config(name: str, values: Mapping[str, Any]) -> Any:
    """Makes the `Config` of an architecture from plain values.

    Args:
        name: file in `models/`.
        values: fields that differ from the defaults.

    Returns:
        An instance of the `Config` of that file.

    Raises:
        ExtensionError: no such architecture.
        InputError: an unknown field or a value of another type.
    """
    return options.from_mapping(registry.load(MODELS, name).Config, values)


def build(name: str, config: Mapping[str, Any], n_labels: int, n_bins: int) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        name: file in `models/`.
        config: fields of its `Config` that differ from the defaults.
        n_labels: L.
        n_bins: F.

    Returns:
        A network with fresh weights, see `KeywordNet`.

    Raises:
        ExtensionError: no such architecture.
        InputError: an unknown field or a value of another type.
    """
    module = registry.load(MODELS, name)
    return cast("nn.Module", module.build(resolve_config(name, config), n_labels, n_bins))


def count_parameters(model: nn.Module) -> int:
    """Counts the trainable numbers of a network."""
    return sum(p.numel() for p in model.parameters())


def count_macs(model: nn.Module, n_frames: int) -> int:
    """Counts the multiply-accumulates of convolutions and linear layers for one clip.

    Args:
        model: a network from `models/`.
        n_frames: T.

    Returns:
        Multiply-accumulates for one clip.
    """
    return cast("KeywordNet", model).macs(n_frames)
