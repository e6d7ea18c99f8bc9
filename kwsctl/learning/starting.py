"""Begins a training run with the weights of another bundle instead of random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.types import FeatureSpec


def check(start: Bundle, arch: str, config: Mapping[str, Any], features: FeatureSpec) -> None:
    """Refuses a bundle to begin with that is of another network.

    Args:
        start: what to begin with.
        arch: architecture that is asked for.
        config: fields of its `Config` that are not the default.
        features: what the network is to be fed with.

    Raises:
        InputError: another architecture, or other features.
    """
    if start.arch != arch or dict(start.config) != dict(config):
        raise InputError(
            f"The bundle to begin with is {start.arch} {dict(start.config)}, not {arch} {dict(config)}.",
            "Give --arch and --set network.… as it was trained with, or leave --from out.",
        )
    if start.features != features:
        raise InputError(
            "The bundle to begin with hears other features than asked for.",
            "Leave features as they were, or leave --from out.",
        )


def begin_with(network: nn.Module, start: Bundle, labels: Sequence[str]) -> None:
    """Copies all weights of a bundle into a fresh network; of its head, the rows of labels that both have.

    Args:
        network: from `models/`, changed in place.
        start: what to begin with, of the same architecture.
        labels: L names in the order of the network's outputs.
    """
    weights = dict(network.state_dict())
    shared = [label for label in labels if label in start.labels]
    here = torch.tensor([list(labels).index(label) for label in shared], dtype=torch.long)
    there = torch.tensor([start.labels.index(label) for label in shared], dtype=torch.long)
    for name, value in start.weights.items():
        weights[name] = weights[name].index_copy(0, here, value[there]) if name.startswith("head.") else value
    network.load_state_dict(weights)
