"""What a training run needs to go on after it was killed: beside the bundle, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor
from torch.optim import Optimizer

from kwsctl.errors import BundleError
from kwsctl.storage import write_bytes


@dataclass(frozen=True)
class Checkpoint:
    """A run after a finished epoch.

    Attributes:
        facts: JSON-able values: epoch, best score, options, identity of the data.
        tensors: weights, their average, the best average, the optimizer's state, hardness.
    """

    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(repr=False)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Gives the tensors whose name begins with `prefix.`, without it."""
        start = f"{prefix}."
        return {name[len(start) :]: t for name, t in self.tensors.items() if name.startswith(start)}

    def save(self, path: Path) -> None:
        """Writes the checkpoint atomically."""
        # Buffers may share storage between the model and its average; safetensors wants each its own.
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in self.tensors.items()}
        write_bytes(path, safetensors.torch.save(tensors, {"kwsctl": json.dumps(self.facts, sort_keys=True)}))


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: what `Checkpoint.save` wrote.

    Returns:
        What was saved.

    Raises:
        BundleError: the file is corrupt.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["kwsctl"])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # not a dict
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise BundleError(f"{path} is not a checkpoint: {error}.", "Delete it to start anew.") from None
    return Checkpoint(facts, tensors)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Puts `prefix.` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Gives the state of an optimizer as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    complete = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(complete | {"state": state})
