"""Runs heavy converters in an environment of their own, so that kwsctl's stays small.

A worker is a file in `export/workers/` that imports nothing of kwsctl. It runs with the Python of the
extra's environment: the one that a variable names, that `make` has put beside kwsctl's own, or kwsctl's own,
if the extra is installed there.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import DeviceError

WORKERS = Path(__file__).parent / "workers"


@dataclass(frozen=True)
class Extra:
    """Packages that are installed apart.

    Attributes:
        name: of the extra of kwsctl, and of the folder `.venv-NAME`.
        module: that shows whether it is there.
    """

    name: str
    module: str

    @property
    def variable(self) -> str:
        """Environment variable that names its Python."""
        return f"KWSCTL_{self.name.upper()}_PYTHON"


EXTRAS = {e.name: e for e in (Extra("executorch", "executorch"), Extra("litert", "litert_torch"))}


@functools.cache
def python_of(name: str) -> Path | None:
    """Finds the Python of an extra.

    Args:
        name: of the extra.

    Returns:
        The program; None if it is nowhere.
    """
    extra = EXTRAS[name]
    if os.environ.get(extra.variable):
        return Path(os.environ[extra.variable])
    if importlib.util.find_spec(extra.module) is not None:
        return Path(sys.executable)
    beside = Path(sys.prefix).parent / f".venv-{name}" / "bin" / "python"
    return beside if beside.is_file() else None


def missing(name: str) -> str:
    """Says what keeps an extra from being used; empty if it is there."""
    if python_of(name) is not None:
        return ""
    return f"the extra {name} is not installed"


def how_to_get(name: str) -> str:
    """Says how to get an extra."""
    extra = EXTRAS[name]
    return (
        f"In a checkout: make {name}. Otherwise, in an environment of its own: pip install "
        f'"kwsctl[{name}]", and {extra.variable}=/path/to/python'
    )


def call(name: str, worker: str, arguments: Sequence[str | Path]) -> str:
    """Runs a worker.

    Args:
        name: of the extra.
        worker: file in `export/workers/`, without its ending.
        arguments: of the worker.

    Returns:
        What it printed.

    Raises:
        DeviceError: the extra is not there, or the worker failed.
    """
    python = python_of(name)
    if python is None:
        raise DeviceError(f"{missing(name).capitalize()}.", how_to_get(name))
    command = [str(python), "-W", "ignore", str(WORKERS / f"{worker}.py"), *map(str, arguments)]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)  # noqa: S603  # our own file
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise DeviceError(f"The {name} worker failed: {said}", how_to_get(name))
    return done.stdout


def run(name: str, worker: str, model: Path, features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Runs a model over windows by a worker.

    Args:
        name: of the extra.
        worker: that knows `run MODEL FEATURES OUT`.
        model: the model file.
        features: [N, F, T].

    Returns:
        Per output, [N, ...].
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "features.npy", Path(folder) / "outputs.npz"
        np.save(given, features)
        call(name, worker, ["run", model, given, out])
        return read_outputs(out)


def read_outputs(path: Path) -> list[NDArray[np.float32]]:
    """Reads the outputs that a worker wrote as `output_0`, `output_1` and so on."""
    with np.load(path) as found:
        return [found[f"output_{i}"] for i in range(len(found.files))]


def save_program(graph: Any, path: Path) -> None:
    """Writes a graph as an exported program of torch, which workers read.

    Args:
        graph: a safe ONNX graph of static shape.
        path: the `.pt2` file.
    """
    import torch

    from kwsctl.export.graph_network import GraphNetwork

    network = GraphNetwork(graph).eval()
    example = tuple(
        torch.zeros([d.dim_value for d in i.type.tensor_type.shape.dim]) for i in graph.graph.input
    )
    torch.export.save(torch.export.export(network, example, strict=False), path)


def save_feeds(feeds: Sequence[Mapping[str, NDArray[np.float32]]], names: Sequence[str], path: Path) -> None:
    """Writes the inputs of a calibration as `input_0` [N, ...] and so on.

    Args:
        feeds: the inputs.
        names: in the order of the graph.
        path: the `.npz` file.
    """
    np.savez(path, **{f"input_{i}": np.stack([feed[n] for feed in feeds]) for i, n in enumerate(names)})  # type: ignore[arg-type]
